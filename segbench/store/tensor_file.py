"""Files of named tensors in the safetensors format, written tensor by tensor and sealed."""

from __future__ import annotations

import json
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.checksum import UNSEALED, seal

from .atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class StoredTensor(NamedTuple):
    """The name, the type by its name in the format ("F32"), the shape and the number of bytes of a tensor."""

    name: str
    dtype: str
    shape: Sequence[int]
    nbytes: int


def write_tensor_file(
    path: Path,
    tensors: Sequence[StoredTensor],
    contents: Iterable[NDArray[Any]],
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write tensors, whose contents come one at a time in their order, and texts by name, whole or not at all.

    Tensors with larger elements come first, so that each is aligned. Raises RecordError if the file cannot be written.
    """
    header = _header(tensors, {"seal": UNSEALED, **(facts or {})})
    with replacing(path) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for tensor, content in zip(tensors, contents, strict=True):
            assert content.nbytes == tensor.nbytes, f"what comes for {tensor.name!r} is of another size"
            file.write(content.data)
        seal(file)


def _header(tensors: Sequence[StoredTensor], facts: Mapping[str, str]) -> bytes:
    """Return the JSON that says where each tensor lies, padded with spaces to a multiple of 8 bytes."""
    ends = [0, *accumulate(tensor.nbytes for tensor in tensors)]
    entries = {
        tensor.name: {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        for tensor, offsets in zip(tensors, pairwise(ends), strict=True)
    }
    text = json.dumps({"__metadata__": dict(facts), **entries}).encode()
    return text + b" " * (-len(text) % 8)
