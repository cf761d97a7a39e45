"""One cell: the unit that runs, fails, resumes and is cached."""

from __future__ import annotations

from pydantic import Field

from segbench.spec.protocol import Frozen
from segbench.spec.recipe import DatasetUse, Method

from .subset import EVERYTHING


class Cell(Frozen):
    """One (dataset, subset, method, seed) of a benchmark.

    `subset` is written as `segbench.plan.subset` does. `key` is None while the data is not at hand. `upstream` maps the
    reason ("start_from", "refines fold 1/5", "budget", "trial 1/4") to the key of the cell it needs; what it takes over
    for the last two is settled when it starts. `for_tuning` says that it has the seed of tuning and serves that alone.
    `method.protocol.threads` is filled in. `fingerprint` identifies the dataset's content, `cache_key` its decoded
    form; `sources`, `versions` and `files` (the hashes of files that options name by their paths) are what else the key
    covers.
    """

    benchmark: str
    dataset_name: str
    dataset: DatasetUse
    subset: str = EVERYTHING
    method: Method
    seed: int
    for_tuning: bool = False
    fingerprint: str | None = None
    cache_key: str | None = None
    sources: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    upstream: dict[str, str | None] = Field(default_factory=dict)
    key: str | None = None

    @property
    def label(self) -> str:
        """How messages name the cell."""
        return cell_label(self.dataset_name, self.subset, self.method.name, self.seed)


def cell_label(dataset: str, subset: str, method: str, seed: int) -> str:
    """Return how messages name a cell; its subset only where it is not everything."""
    parts = [dataset, method, f"seed {seed}"] if subset == EVERYTHING else [dataset, method, subset, f"seed {seed}"]
    return " / ".join(parts)
