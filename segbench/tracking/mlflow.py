"""MLflow: an experiment for each benchmark, and in it a run for each cell, which its tag `segbench.key` names."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .content import Content, Point, TrackedCell

_KEY, _DIGEST = "segbench.key", "segbench.digest"  # tags; the second is that of a cell mirrored to its end
_MOST_POINTS, _MOST_PARAMS = 1000, 100  # in one request
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_MOST_CHARACTERS = 5000  # of a value
_STATUS = {"ok": "FINISHED", "interrupted": "KILLED"}  # what else there is has failed


@contextmanager
def _little_patience() -> Iterator[None]:
    """Let MLflow give up a server that does not answer after seconds instead of minutes, unless the user says."""
    if _RETRIES in os.environ:
        yield
        return
    os.environ[_RETRIES] = "2"
    try:
        yield
    finally:
        del os.environ[_RETRIES]


class MLflow:
    """A database or a server: a run that is there is completed, since MLflow takes nothing out of one.

    A point that is logged again is the same point where a database is behind it.
    """

    def __init__(self, place: str) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(place or None)
        with _little_patience():
            self._client.search_experiments(max_results=1)  # a wrong place is told now
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, Any] = {}
        self.place = self._client.tracking_uri
        self.viewer = self.place if self.place.startswith("http") else f"mlflow ui --backend-store-uri {self.place}"

    def digest_of(self, cell: TrackedCell) -> str | None:
        """Return the digest of what is there of a cell; None if nothing is, or not to its end."""
        run = self._find(cell)
        return run.data.tags.get(_DIGEST) if run else None

    def begin(self, cell: TrackedCell, time: float) -> None:
        """Find the run of a cell or create it."""
        run = self._find(cell)
        self._runs[cell.key] = run or self._client.create_run(
            self._experiment(cell), round(1000 * time) or None, tags={_KEY: cell.key}, run_name=cell.label
        )

    def add(self, cell: TrackedCell, points: Iterable[Point]) -> None:
        """Log points of a cell that was begun."""
        from mlflow.entities import Metric

        found = [Metric(point.name, point.value, round(1000 * point.time), point.step) for point in points]
        for start in range(0, len(found), _MOST_POINTS):
            self._client.log_batch(self._runs[cell.key].info.run_id, found[start : start + _MOST_POINTS])

    def finish(self, cell: TrackedCell, content: Content) -> None:
        """Log what is known of a cell at its end beside the points; a parameter that is there stays as it is."""
        from mlflow.entities import Param, RunTag

        run = self._runs.pop(cell.key)
        facts = {f"segbench.{name}": text for name, text in content.facts.items()}
        tags = [RunTag(name, text[:_MOST_CHARACTERS]) for name, text in {**facts, _DIGEST: content.digest}.items()]
        new = content.recipe.keys() - run.data.params.keys()
        params = [Param(name, str(content.recipe[name])[:_MOST_CHARACTERS]) for name in sorted(new)]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(run.info.run_id, params=params[start : start + _MOST_PARAMS])
        status, ended = _STATUS.get(content.status, "FAILED"), round(1000 * content.ended)
        self._client.set_terminated(run.info.run_id, status, ended)
        self._client.log_batch(run.info.run_id, tags=tags)

    def _find(self, cell: TrackedCell) -> Any:
        wanted = f"tags.`{_KEY}` = '{cell.key}'"
        return next(iter(self._client.search_runs([self._experiment(cell)], wanted, max_results=1)), None)

    def _experiment(self, cell: TrackedCell) -> str:
        if cell.benchmark not in self._experiments:
            found = self._client.get_experiment_by_name(cell.benchmark)
            made = found.experiment_id if found else self._client.create_experiment(cell.benchmark)
            self._experiments[cell.benchmark] = str(made)
        return self._experiments[cell.benchmark]
