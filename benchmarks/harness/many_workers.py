"""Simulates many workers on the cells of one results folder: lost work, double records, listing and lease traffic.

    python benchmarks/harness/many_workers.py                       1,000 workers, 1,000,000 cells: minutes a case
    python benchmarks/harness/many_workers.py --workers 50 --cells 2000
    python benchmarks/harness/many_workers.py --only halts          one case; repeatable

Which cell a worker asks for and when, it gets from `segbench.execute.search`, and when a lease has expired and how
often it is renewed from the program too; taking a lease is written again, as there are no files. What each step
costs is counted first, by doing it with the real store in a temporary folder. Each operation takes `latency` seconds
on the mean. Names that were made or removed in the last `stale` seconds may not be seen yet, drawn anew at each look;
what creates a name sees all.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from own_order import OwnOrder, OwnSearch
from store_operations import count_operations

from segbench.execute.pool import CHECK_SECONDS
from segbench.execute.schedule import RENEW_SECONDS
from segbench.execute.search import ASK_AGAIN_SECONDS
from segbench.store.leases import is_expired

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES_A_SECOND = 200_000  # of a listing, by a file server
RESTART_SECONDS = 120.0  # until another worker takes the place of one that ended
NEVER = math.inf


@dataclass(frozen=True)
class Case:
    """What the store and the workers are like; seconds, and rates a second of a worker or an operation."""

    name: str
    latency: float = 0.005
    stale: float = 0.0
    deaths: float = 0.0
    halts: float = 0.0
    halt_seconds: float = 0.0
    failing: float = 0.0


DAY, HOUR = 86400.0, 3600.0
CASES = (
    Case("calm"),
    Case("slow store", latency=0.05),
    Case("stale names", stale=60.0),
    Case("deaths", stale=30.0, deaths=1 / (6 * HOUR)),
    Case("halts", stale=30.0, halts=1 / (6 * HOUR), halt_seconds=90.0),
    Case("all", latency=0.05, stale=60.0, deaths=1 / DAY, halts=1 / DAY, halt_seconds=300.0, failing=1e-6),
)


class Worker:
    """A worker that computes one cell at a time, and what the results folder is to its search."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign, self.phase = campaign, campaign.rng.uniform(0, RENEW_SECONDS)
        self.life, self.halted_at, self.halted_until = 0, NEVER, 0.0
        self.cell: int | None = None
        self.since = self.ends = 0.0
        self.named_at = NEVER  # when its lease file was made
        self.looking: Iterator | None = None
        self.seen_at, self.has_asked = 0.0, False

    def begin(self) -> None:
        """Begin to work, as a new process."""
        now = self.campaign.now
        order = OwnOrder(self.campaign.done_at, now - self.age(), self.campaign.rng)
        self.search = OwnSearch(order, self, lambda: self.campaign.now)
        self.looking = None

    def age(self) -> float:
        """Return how old what is seen of a folder is."""
        return self.campaign.rng.random() * self.campaign.case.stale

    def touched(self) -> float:
        """Return when this worker last renewed its lease."""
        return min(self.campaign.now, self.halted_at) - self.phase

    def new_record(self, cell: int) -> bool | None:
        """Return whether a cell is seen to be recorded; at a second look within a moment the same is seen."""
        return True if self.campaign.done[cell] <= self.seen_at else None

    def lease(self, cell: int) -> bool:
        """Begin the next attempt at a cell unless the newest one that is seen is at work; see `Leases.acquire`."""
        attempts = self.campaign.attempts.get(cell, [])
        seen_at = self.campaign.now - self.age()
        seen = [attempt for attempt in attempts if attempt[1] <= seen_at]
        if seen and self.is_held(cell, *seen[-1]):
            return False
        if len(seen) < len(attempts):  # the name of the next attempt is taken
            return False
        if attempts:
            self.campaign.take_over(cell, attempts[-1][0])
        self.campaign.attempts[cell] = [*attempts, (self, self.campaign.now)]
        return True

    def is_held(self, cell: int, holder: Worker, began: float) -> bool:
        """Tell whether this worker sees that the one that has begun an attempt still works on it."""
        if holder.named_at > self.campaign.now - self.age():  # its lease file is not seen
            return not is_expired(self.campaign.now, began)
        return holder.cell == cell and not is_expired(self.campaign.now, holder.touched())

    def find_finished(self, keys: OwnOrder) -> list[int]:
        """Return the cells that a listing shows to be finished."""
        self.campaign.counts["folder listings"] += 1
        return keys.pass_over(self.campaign.now - self.age())


class Campaign:
    """All workers, cells and events of a case, and what is counted of them."""

    def __init__(self, case: Case, workers: int, cells: int, seconds: float, steps: dict[str, Counter[str]]) -> None:
        self.case, self.cells, self.seconds, self.rng = case, cells, seconds, random.Random(case.name)
        random.seed(case.name)
        self.steps, self.costs = steps, {name: sum(step.values()) for name, step in steps.items()}
        self.now, self.left = 0.0, cells
        self.done = [NEVER] * cells
        self.done_at = np.full(cells, NEVER)  # the same for whoever looks at many at once
        self.attempts: dict[int, list[tuple[Worker, float]]] = {}
        self.counts: Counter[str] = Counter()
        self.useful = self.lost = 0.0
        self.events: list[tuple[float, int, str, Worker, int]] = []
        self.busiest: Counter[int] = Counter()
        self.number = 0
        self.workers = [Worker(self) for _ in range(workers)]
        for worker in self.workers:
            self.at(self.rng.uniform(0, 10), "start", worker)

    def at(self, when: float, event: str, worker: Worker) -> None:
        """Let something happen to a worker at a time."""
        self.number += 1
        heapq.heappush(self.events, (when, self.number, event, worker, worker.life))

    def run(self) -> None:
        """Let everything happen until every cell has its record."""
        while self.left:
            self.now, _, event, worker, life = heapq.heappop(self.events)
            if life == worker.life:
                getattr(self, event)(worker)

    def spend(self, step: str) -> float:
        """Count a step, and return the seconds that its operations take."""
        self.counts[step] += 1
        self.busiest[int(self.now / 60)] += self.costs[step]
        return self.costs[step] * self.case.latency * self.rng.uniform(0.5, 1.5)

    def has_failed(self, step: str) -> bool:
        """Tell whether the store has failed in a step, which ends a worker."""
        return self.case.failing > 0 and self.rng.random() < self.costs[step] * self.case.failing

    def start(self, worker: Worker) -> None:
        """A worker begins: it lists what is recorded, and may end or be halted some time."""
        worker.begin()
        self.counts["folder listings"] += 1
        for event, rate in (("die", self.case.deaths), ("halt", self.case.halts)):
            if rate:
                self.at(self.now + self.rng.expovariate(rate), event, worker)
        self.at(self.now + self.listing_seconds(), "ask", worker)

    def listing_seconds(self) -> float:
        """Return how long a listing of records and folders takes."""
        return 2 * (self.cells - self.left) / ENTRIES_A_SECOND + self.case.latency

    def ask(self, worker: Worker) -> None:
        """A worker asks for a cell."""
        if self.now < worker.halted_until:
            self.at(worker.halted_until, "ask", worker)
            return
        if worker.looking is None:
            worker.looking = worker.search.look(lambda cell: True)
        worker.seen_at = self.now - worker.age()
        found = next(worker.looking, None)
        if found is None:
            self.pause(worker)
        elif found.is_leased and not found.record:
            self.compute(worker, found.key)
        else:
            worker.has_asked = True
            step = "ask for a recorded cell" if found.record else "ask for a cell that another one has"
            self.at(self.now + self.spend(step), "ask", worker)

    def pause(self, worker: Worker) -> None:
        """A look has ended without a cell: a listing may help, or the worker rests."""
        worker.looking = None
        before = self.counts["folder listings"]
        worker.search.list_finished()
        listing = self.listing_seconds() * (self.counts["folder listings"] - before)
        # The program looks in each round of its loop, but finds nothing that it may ask for before about a second.
        wait = CHECK_SECONDS if worker.has_asked else ASK_AGAIN_SECONDS
        worker.has_asked = False
        self.at(max(self.now + wait + listing, worker.search.rests_until), "ask", worker)

    def compute(self, worker: Worker, cell: int) -> None:
        """A worker has begun an attempt."""
        worker.looking, worker.cell, worker.named_at = None, cell, self.now
        worker.since = self.now + self.spend("take a free cell")
        worker.ends = worker.since + self.seconds * self.rng.uniform(0.8, 1.2)
        if self.has_failed("take a free cell"):
            self.at(worker.since, "die", worker)
        self.at(worker.ends, "finish", worker)

    def finish(self, worker: Worker) -> None:
        """A cell comes to its end, if nothing has stopped it; the first to create its record has made it."""
        if worker.cell is None or self.now < worker.ends:
            if worker.cell is not None:
                self.at(worker.ends, "finish", worker)
            return
        if self.has_failed("publish"):
            self.die(worker)
            return
        seconds, cell = self.now - worker.since, worker.cell
        if self.create_record(cell):
            self.useful += seconds
        else:
            self.lost += seconds
            self.counts["refused"] += 1
        self.count_renewals(worker)
        worker.cell, worker.named_at = None, NEVER
        self.at(self.now + self.spend("publish") + CHECK_SECONDS / 2, "ask", worker)

    def create_record(self, cell: int) -> bool:
        """Create the record of a cell exclusively, as a hard link is; False if there is one."""
        if self.done[cell] < NEVER:
            return False
        self.done[cell] = self.done_at[cell] = self.now
        self.counts["records"] += 1
        self.left -= 1
        self.attempts.pop(cell, None)
        return True

    def count_renewals(self, worker: Worker) -> None:
        """Count how often a worker has renewed the lease of the cell that ends."""
        self.counts["renew"] += int((self.now - worker.since) / RENEW_SECONDS)

    def take_over(self, cell: int, holder: Worker) -> None:
        """Another worker has begun the next attempt; who still computes the cell sees that soon."""
        self.counts["taken over"] += 1
        if holder.cell == cell:
            self.counts["taken from the living"] += 1
            self.at(max(self.now, holder.halted_until) + self.rng.uniform(0, RENEW_SECONDS), "lose", holder)

    def lose(self, worker: Worker) -> None:
        """A worker sees that its attempt was taken over, and stops it."""
        cell = worker.cell
        if cell is None or self.now >= worker.ends or self.attempts.get(cell, [(worker, 0.0)])[-1][0] is worker:
            return
        self.stop(worker)
        worker.search.waiting[cell] = None
        self.at(self.now, "ask", worker)

    def stop(self, worker: Worker) -> None:
        """Stop what a worker computes, if it does; its work is lost."""
        if worker.cell is not None:
            self.lost += max(0.0, self.now - worker.since)
            self.counts["cut"] += 1
            self.count_renewals(worker)
        worker.cell, worker.named_at, worker.ends = None, NEVER, NEVER

    def die(self, worker: Worker) -> None:
        """A worker ends without a word, and another one takes its place later."""
        self.counts["deaths"] += 1
        self.stop(worker)
        worker.life += 1
        self.at(self.now + RESTART_SECONDS, "start", worker)

    def halt(self, worker: Worker) -> None:
        """A worker is halted for a while, or is cut off from the store and waits for it."""
        worker.halted_at, worker.halted_until = self.now, self.now + self.case.halt_seconds
        worker.ends += self.case.halt_seconds
        worker.since += self.case.halt_seconds
        self.counts["halts"] += 1
        self.at(worker.halted_until, "go_on", worker)
        self.at(self.now + self.rng.expovariate(self.case.halts) + self.case.halt_seconds, "halt", worker)

    def go_on(self, worker: Worker) -> None:
        """A halted worker goes on."""
        worker.halted_at = NEVER

    def operations(self) -> Counter[str]:
        """Return how many operations of each sort the store has had."""
        total: Counter[str] = Counter({"listings": self.counts["folder listings"]})
        for name, step in self.steps.items():
            for sort, number in step.items():
                total[sort] += number * self.counts[name]
        return total


def describe(campaign: Campaign) -> list[str]:
    """Return the row of a case."""
    operations = campaign.operations()
    spent = len(campaign.workers) * campaign.now
    counts, cells = campaign.counts, len(campaign.done)
    busiest = max(campaign.busiest.values()) / 60
    return [
        campaign.case.name,
        f"{campaign.lost / campaign.useful:.3%}",
        f"{counts['refused']} + {counts['cut']}",
        str(counts["records"] - cells),
        f"{1 - (campaign.useful + campaign.lost) / spent:.1%}",
        f"{(counts['ask for a recorded cell'] + counts['ask for a cell that another one has']) / cells:.2f}",
        *(f"{operations[sort] / campaign.now:,.0f}" for sort in ("listings", "reads", "writes", "lookups")),
        f"{busiest:,.0f}",
        f"{counts['folder listings'] / len(campaign.workers):.1f}",
    ]


HEAD = [
    *("case", "lost work", "refused + cut", "double", "idle", "misses a cell"),
    *("listings/s", "reads/s", "writes/s", "lookups/s", "busiest minute/s", "whole listings a worker"),
]


def main() -> None:
    """Count what each step costs, simulate the cases, and print both as tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of a cell, give or take a fifth")
    parser.add_argument("--only", action="append", choices=[case.name for case in CASES])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        steps = count_operations(Path(folder))
    sorts = ("listings", "reads", "writes", "lookups")
    print_row(["step", *sorts])
    print_row(["---"] * 5)
    for name, step in steps.items():
        print_row([name, *(str(step[sort]) for sort in sorts)])
    print()
    print_row(HEAD)
    print_row(["---"] * len(HEAD))
    for case in CASES:
        if not given.only or case.name in given.only:
            start = time.monotonic()
            print_row(describe(simulate(case, given.workers, given.cells, given.seconds, steps)))
            print(f"{case.name}: {time.monotonic() - start:.0f} s", file=sys.stderr)


def simulate(case: Case, workers: int, cells: int, seconds: float, steps: dict[str, Counter[str]]) -> Campaign:
    """Return the campaign of a case once every cell has its record."""
    campaign = Campaign(case, workers, cells, seconds, steps)
    campaign.run()
    return campaign


def print_row(cells: list[str]) -> None:
    """Print a row of a table in Markdown."""
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
