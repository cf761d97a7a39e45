"""The description of a cell's dataset: a file beside its weights and pictures, for where the data itself is not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, PositiveInt, ValidationError, model_validator

from segbench.errors import RecordError
from segbench.images import Reading
from segbench.registry.datasets import LARGEST_LABEL

from .folder import how_to_redo
from .json_file import describe_error, parse_json, read_within
from .record import Part
from .segments import DATASET as DATASET
from .segments import packed_description, read_packed_or_loose

if TYPE_CHECKING:
    from pathlib import Path

    from segbench.contract import Dataset


Byte = Annotated[int, Field(ge=0, le=255)]


class DatasetDescription(Part):
    """The classes with their palette colours, the ignored label, the channels, and how image files are read.

    `licence` and `redistributable` are those of `segbench.Dataset`; None in files of older versions.
    """

    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=LARGEST_LABEL)]
    palette: tuple[tuple[Byte, Byte, Byte], ...]
    ignore_index: Annotated[int, Field(ge=0, le=LARGEST_LABEL)]
    channels: PositiveInt
    reading: Reading = Reading()
    licence: str | None = None
    redistributable: bool | None = None

    @model_validator(mode="after")
    def check_palette(self) -> Self:
        """Refuse more or fewer colours than classes."""
        if len(self.palette) != len(self.classes):
            raise ValueError(f"{len(self.palette)} colours in palette for {len(self.classes)} classes")
        return self


def description_of(dataset: Dataset) -> DatasetDescription:
    """Return the description of a dataset."""
    return DatasetDescription(
        classes=tuple(dataset.classes),
        palette=tuple(dataset.palette),
        ignore_index=dataset.ignore_index,
        channels=dataset.channels,
        reading=dataset.reading or Reading(),
        licence=dataset.licence,
        redistributable=dataset.redistributable,
    )


def read_description(path: Path) -> DatasetDescription:
    """Read the description of a cell's dataset from a file; raise RecordError if it is missing or damaged."""
    try:
        content = read_packed_or_loose(partial(packed_description, path), partial(read_within, path))
        return DatasetDescription.model_validate(parse_json(content))
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        cause = describe_error(error) if isinstance(error, ValidationError) else error
        raise RecordError(f"{path} does not describe a dataset: {cause}; {how_to_redo(path.parent)}") from error
