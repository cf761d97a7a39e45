"""Checksums: what identifies the content of a file, and the seal that tells whether a kept file has changed since.

A seal is the text `segbench crc32 <8 hexadecimal digits> segbench crc32` inside a file, so any format that has room for
a text can have one. Its digits are the CRC-32 of the whole file with zeros in their place. The words stand on both
sides of the digits so that no single fault makes a file pass for one without a seal.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

from .files import open_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


_ZEROS = b"00000000"
# The words on both sides of the digits, and how far from the beginning of either the digits begin.
_MARKS = {b"segbench crc32 ": 15, b" segbench crc32": -len(_ZEROS)}

# What a writer puts where the seal is to stand, among the first or the last bytes of the file.
UNSEALED = "segbench crc32 00000000 segbench crc32"

_REACH = 1 << 16  # bytes from either end
_BLOCK = 1 << 20


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal; raise OSError if it cannot be read."""
    try:
        with open(open_file(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        error.filename = str(path)  # reading names none
        raise


def sha256_of_array(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and values, in hexadecimal."""
    import numpy as np

    digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def seal(file: BinaryIO) -> None:
    """Put the checksum of a file, open for reading and writing, in the place that UNSEALED holds."""
    file.flush()
    place = _find_digits(file)
    assert place is not None, "whoever writes a file to be sealed leaves room for the seal"
    digits = _digits(file, place)
    file.seek(place)
    file.write(digits)


def check_seal(path: Path) -> None:
    """Raise ValueError if a file is not what it was when it was sealed; one without a seal, as of old, passes.

    Raises OSError if it is no file or cannot be read.
    """
    with open(open_file(path), "rb") as file:
        check_sealed(file)


def check_sealed(file: BinaryIO) -> None:
    """Raise ValueError for an open file as `check_seal` does for a path."""
    place = _find_digits(file)
    if place is None:
        return
    file.seek(place)
    if file.read(len(_ZEROS)) != _digits(file, place):
        raise ValueError("it has changed since it was written: its checksum does not match")


def _find_digits(file: BinaryIO) -> int | None:
    """Return the place of the digits of a file's seal; None if it has no seal."""
    size = file.seek(0, os.SEEK_END)
    for start in sorted({0, max(0, size - _REACH)}):
        file.seek(start)
        content = file.read(_REACH)
        for mark, distance in _MARKS.items():
            if (found := content.find(mark)) >= 0:
                return max(0, start + found + distance)
    return None


def _digits(file: BinaryIO, place: int) -> bytes:
    """Return the digits of the seal of an open file, read in blocks, with zeros for the digits at `place`."""
    rest = place + len(_ZEROS)
    checksum = zlib.crc32(_ZEROS, _continue(0, file, 0, place))
    return f"{_continue(checksum, file, rest, file.seek(0, os.SEEK_END)):08x}".encode()


def _continue(checksum: int, file: BinaryIO, start: int, stop: int) -> int:
    """Return the CRC-32 that goes on from `checksum` with the bytes of a file from `start` to `stop`."""
    file.seek(start)
    while block := file.read(max(0, min(_BLOCK, stop - start))):
        checksum = zlib.crc32(block, checksum)
        start += len(block)
    return checksum
