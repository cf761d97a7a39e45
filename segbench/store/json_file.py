"""JSON files: read within bounds of size and depth, so that a bad one is no more than a bad file, and sealed."""

from __future__ import annotations

import errno
import json
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

from segbench.checksum import UNSEALED, check_sealed, seal
from segbench.errors import RecordError
from segbench.files import read_file
from segbench.shown import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import BaseModel, ValidationError


Model = TypeVar("Model", bound="BaseModel")

# No record, claim or description has as many bytes; what is read of a file takes some twenty times its size in memory.
LARGEST = 1 << 25
_LONGEST = 100  # letters of a place in a file that are shown


def read_json(path: Path, at_most: int | None = LARGEST, *, needs_seal: bool = False) -> Any:
    """Return what a JSON file holds, without its seal if it has one.

    Raises OSError for a file that cannot be read, and ValueError for one that has changed since it was sealed, has more
    bytes than `at_most`, is no JSON, is nested too deeply, or holds NaN or a number of thousands of digits; also for
    one without the seal that it needs.
    """
    return parse_json(read_within(path, at_most), needs_seal=needs_seal)


def read_within(path: Path, at_most: int | None = LARGEST) -> bytes:
    """Return the content of a file; OSError if it cannot be read, ValueError if it has more bytes than `at_most`."""
    try:
        return read_file(path, at_most)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ValueError(error.strerror) from error
        raise


def parse_json(text: bytes, *, needs_seal: bool = False) -> Any:
    """Return what the content of a JSON file holds, without its seal if it has one; ValueError as `read_json`."""
    from pydantic_core import from_json

    check_sealed(BytesIO(text))
    content = from_json(text, allow_inf_nan=False)
    mark = str(content.pop("seal", "")) if isinstance(content, dict) else ""
    if needs_seal and mark[:15] != UNSEALED[:15]:
        raise ValueError("it has no checksum, so it was not written by segbench or was changed since")
    return content


def read_model(path: Path, model: type[Model], fault: str, *, needs_seal: bool = False) -> Model:
    """Return what a JSON file holds as a model of pydantic.

    Raises RecordError for one that cannot be read, has been changed, lacks the seal that it needs or holds something
    else: `fault` says of it what it is not, such as "is no mark of a verification".
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(read_json(path, needs_seal=needs_seal))
    except ValidationError as error:
        raise RecordError(f"{path} {fault}: {describe_error(error)}") from error
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"cannot use {path}: {error}") from error


def sealed_json(content: Mapping[str, Any]) -> bytes:
    """Return the JSON of an object with a seal as its first entry, for `read_json`."""
    file = BytesIO(json.dumps({"seal": UNSEALED, **content}).encode())
    seal(file)
    return file.getvalue()


def describe_error(error: ValidationError) -> str:
    """Return the place and the message of the first thing that is wrong in what was read."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return clean_line(f"{place[:_LONGEST]}: {first['msg']}" if place else first["msg"])
