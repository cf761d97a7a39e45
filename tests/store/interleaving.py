"""Every order in which processes may take their steps on shared files, tried with the real functions in threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Interleaving:
    """Runs actions in threads of which one moves at a time, each up to its next step, in a given order.

    `order` are the numbers of the threads at the first steps; after them a thread goes on as long as it can. `taken`
    are the choices that were made, `others` what else could have been chosen at each, and `after` is called after each.
    """

    def __init__(self, order: Sequence[int], after: Callable[[], None]) -> None:
        self._order, self._after = order, after
        self.taken: list[int] = []
        self.others: list[list[int]] = []
        self._threads: list[threading.Thread] = []
        self._ready: list[Callable[[], bool]] = []
        self._go: list[threading.Semaphore] = []
        self._back = threading.Semaphore(0)
        self.errors: list[BaseException] = []

    def step(self, is_ready: Callable[[], bool] = lambda: True) -> None:
        """Wait for the turn, which comes only where a condition holds; nothing in threads that are not of these."""
        current = threading.current_thread()
        if current in self._threads:
            number = self._threads.index(current)
            self._ready[number] = is_ready
            self._back.release()
            self._go[number].acquire()

    def run(self, *actions: Callable[[], None]) -> None:
        """Run actions to their ends; raise the first error of one."""
        for number, action in enumerate(actions):
            self._threads.append(threading.Thread(target=self._act, args=(number, action), daemon=True))
            self._ready.append(lambda: True)
            self._go.append(threading.Semaphore(0))
        for thread in self._threads:
            thread.start()
        current = 0
        while alive := [number for number, thread in enumerate(self._threads) if thread.is_alive()]:
            ready = [number for number in alive if self._ready[number]()]
            assert ready, "all of them wait for one another"
            place = len(self.taken)
            preferred = self._order[place] if place < len(self._order) else current
            current = preferred if preferred in ready else ready[0]
            self.taken.append(current)
            self.others.append([number for number in ready if number != current])
            self._go[current].release()
            self._back.acquire()
            if self._ready[current] is _ended:
                self._threads[current].join()
            self._after()
        if self.errors:
            raise self.errors[0]

    def _act(self, number: int, action: Callable[[], None]) -> None:
        self._go[number].acquire()
        try:
            action()
        except BaseException as error:
            self.errors.append(error)
        self._ready[number] = _ended
        self._back.release()


def _ended() -> bool:
    return False


def explore(attempt: Callable[[Sequence[int]], Interleaving], switches: int) -> int:
    """Try all orders in which a thread that could go on is left at most so often; return how many there were."""
    waiting: list[tuple[list[int], int]] = [([], 0)]
    tried = 0
    while waiting:
        order, used = waiting.pop()
        done = attempt(order)
        tried += 1
        if used < switches:
            for place in range(len(order), len(done.taken)):
                waiting += [([*done.taken[:place], other], used + 1) for other in done.others[place]]
    return tried
