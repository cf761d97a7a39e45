"""What the files of a split hold: their formats, depths and values, what was left out, and which images are equal."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from segbench.checksum import sha256_of_array
from segbench.config.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from segbench.images.notes import FileNote


class FileCount(Frozen):
    """How many files of a split are of one format and depth."""

    kind: Literal["image", "mask"]
    format: str
    depth: str
    count: int


class Remark(Frozen):
    """What was left out of so many files; `example` is the id of one of them."""

    kind: Literal["image", "mask"]
    text: str
    count: int
    example: str

    def __str__(self) -> str:
        return f"in {self.count} {self.kind}{'s' * (self.count > 1)} (such as {self.example}) {self.text}"


class SplitContents(Frozen):
    """What was seen while a split was decoded.

    `lowest` and `highest` are of all samples of all images, `digests` the first 32 hex digits of a SHA-256 of each
    image. `files` and `remarks` are empty for a dataset that does not read its files by segbench.images.
    """

    lowest: int
    highest: int
    digests: tuple[str, ...]
    files: tuple[FileCount, ...] = ()
    remarks: tuple[Remark, ...] = ()


class ContentsCounter:
    """Sees the samples of a split one by one and tells its contents at the end."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._digests: list[str] = []
        self._files: Counter[tuple[str, str, str]] = Counter()
        self._remarks: dict[tuple[str, str], list[str]] = {}

    def add(self, sample_id: str, channels: Iterable[NDArray[Any]], notes: Sequence[FileNote]) -> None:
        """Count an image, one by one its channels (H, W), and what its files were noted for."""
        digest = hashlib.sha256()
        for channel in channels:
            self._ranges.append((int(channel.min()), int(channel.max())))
            digest.update(sha256_of_array(channel).encode())
        self._digests.append(digest.hexdigest()[:32])
        for note in notes:
            self._files[note.kind, note.format, note.depth] += 1
            if note.remark:
                self._remarks.setdefault((note.kind, note.remark), []).append(sample_id)

    def contents(self) -> SplitContents:
        """Return what was seen."""
        return SplitContents(
            lowest=min(lowest for lowest, _ in self._ranges),
            highest=max(highest for _, highest in self._ranges),
            digests=tuple(self._digests),
            files=tuple(
                FileCount.model_validate({"kind": kind, "format": form, "depth": depth, "count": count})
                for (kind, form, depth), count in sorted(self._files.items())
            ),
            remarks=tuple(
                Remark.model_validate({"kind": kind, "text": text, "count": len(ids), "example": ids[0]})
                for (kind, text), ids in sorted(self._remarks.items())
            ),
        )
