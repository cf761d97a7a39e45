"""What a cell leaves of its dataset, so that its network can be used where the data is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from segbench.errors import RecordError
from segbench.spec.protocol import Frozen

if TYPE_CHECKING:
    from pathlib import Path

    from segbench.contracts import Dataset

DATASET = "dataset.json"


class DatasetDescription(Frozen):
    """The classes with their colours, the label that is ignored, and the number of image channels."""

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_index: int
    channels: int


def description_of(dataset: Dataset) -> DatasetDescription:
    """Return the description of a dataset."""
    return DatasetDescription(
        classes=tuple(dataset.classes),
        palette=tuple(dataset.palette),
        ignore_index=dataset.ignore_index,
        channels=dataset.channels,
    )


def read_description(path: Path) -> DatasetDescription:
    """Return what a cell left of its dataset; RecordError if it is missing or damaged."""
    try:
        return DatasetDescription.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise RecordError(f"{path} does not describe a dataset: {error.errors()[0]['msg']}") from error
