"""TensorBoard: a folder for each cell, with a file of events by TensorBoard's own writer.

That writer comes with the viewer and, unlike torch.utils.tensorboard around it, needs no torch.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.store.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .content import Content, Point, TrackedCell

_DIGEST = "segbench.digest"  # beside the events of a cell that is mirrored to its end


class TensorBoard:
    """A folder that `tensorboard --logdir` shows; what is begun again there replaces what was."""

    def __init__(self, place: str) -> None:
        import tensorboard  # noqa: F401 - missing is told now

        self._root = Path(place or "runs").expanduser()
        self._root.mkdir(parents=True, exist_ok=True)
        self._writers: dict[str, Any] = {}
        self.place = str(self._root)
        self.viewer = f"tensorboard --logdir {shlex.quote(self.place)}"

    def digest_of(self, cell: TrackedCell) -> str | None:
        """Return the digest of what is there of a cell; None if nothing is, or not to its end."""
        file = self._folder(cell) / _DIGEST
        return file.read_text() if file.is_file() else None

    def begin(self, cell: TrackedCell, time: float) -> None:
        """Remove what there is of a cell, and begin it."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._close(cell)
        folder = self._folder(cell)
        for path in (folder / _DIGEST, *folder.glob("events.out.tfevents.*")):
            path.unlink(missing_ok=True)
        self._writers[cell.key] = EventFileWriter(str(folder))

    def add(self, cell: TrackedCell, points: Iterable[Point]) -> None:
        """Write points of a cell that was begun."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for point in points:
            value = Summary.Value(tag=point.name, simple_value=point.value)
            event = Event(wall_time=point.time, step=point.step, summary=Summary(value=[value]))
            self._writers[cell.key].add_event(event)
        self._writers[cell.key].flush()

    def finish(self, cell: TrackedCell, content: Content) -> None:
        """Write what is known of a cell at its end beside the points."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        known = hparams_pb({**content.recipe, **content.facts}, trial_id=cell.key)
        self._writers[cell.key].add_event(Event(summary=known))
        self._close(cell)
        write_atomically(self._folder(cell) / _DIGEST, content.digest.encode())

    def _close(self, cell: TrackedCell) -> None:
        if (writer := self._writers.pop(cell.key, None)) is not None:
            writer.close()

    def _folder(self, cell: TrackedCell) -> Path:
        name = re.sub(r"[^\w.+~-]+", " ", f"{cell.benchmark} {cell.label}").lstrip(". ")[:150]
        return next(self._root.glob(f"* {cell.key}"), self._root / f"{name} {cell.key}")
