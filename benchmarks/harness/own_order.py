"""The order in which one of many simulated workers asks for cells, without a list of them for each worker."""

from __future__ import annotations

import math
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

import numpy as np

from segbench.execute.search import Search

if TYPE_CHECKING:
    import random


class OwnOrder(MutableMapping[int, None]):
    """The cells that a worker waits for, in an order of its own that takes no memory: a + b i modulo their number."""

    def __init__(self, done: np.ndarray, known: float, rng: random.Random) -> None:
        cells = len(done)
        self._cells, self._done, self.known = cells, done, known
        self._step, self._start, self._next = coprime(cells, rng), rng.randrange(cells), 0
        self._behind: dict[int, None] = {}

    def __iter__(self) -> Iterator[int]:
        size = 16
        while self._next < self._cells:
            numbers = np.arange(self._next, min(self._next + size, self._cells))
            cells = (self._start + self._step * numbers) % self._cells
            for place in np.flatnonzero(self._done[cells] > self.known):
                self._next = int(numbers[place])
                yield int(cells[place])
            self._next = int(numbers[-1]) + 1
            size = min(2 * size, 65536)
        yield from list(self._behind)

    def __delitem__(self, cell: int) -> None:
        if cell in self._behind:
            del self._behind[cell]
        else:
            self._next += 1  # the one that was given last

    def __setitem__(self, cell: int, value: None) -> None:
        self._behind[cell] = None

    def __getitem__(self, cell: int) -> None:
        raise KeyError(cell)

    def __len__(self) -> int:
        return len(self._behind) + self._cells - self._next

    def pass_over(self, known: float) -> list[int]:
        """Pass over what was finished by a time; return those of it that were asked for before."""
        self.known = known
        return [cell for cell in self._behind if self._done[cell] <= known]


def coprime(number: int, rng: random.Random) -> int:
    """Return a factor that has no divisor in common with a number."""
    while math.gcd(factor := rng.randrange(1, max(2, number)), number) != 1:
        pass
    return factor


class OwnSearch(Search):
    """The search of a worker; its cells are not copied for each look."""

    def _in_order(self):
        return self.waiting
