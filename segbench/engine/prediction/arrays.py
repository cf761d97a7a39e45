"""Images as arrays that are read window by window, and the label maps of those that are zarr (the extra `large`)."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.errors import DataError, first_line
from segbench.images.images import stretched
from segbench.images.opening import check_pixels
from segbench.registry.extras import require
from segbench.store.whole_folder import replacing_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from segbench.config.resize import Size
    from segbench.engine.recorded import RecordedNetwork
    from segbench.images import Reading


# Codecs that do nothing but decode; others may be code of somebody's (pickle is one of numcodecs).
_CODECS = {
    *("bytes", "crc32c", "sharding_indexed", "transpose", "shuffle", "delta"),
    *("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"),
}
_MARK = "segbench"  # the attribute of label maps
_CHUNK = 1024  # pixels on a side


@dataclass(frozen=True)
class ImageArray:
    """An image: (H, W), (H, W, C) or, with `channels_first`, (C, H, W), uint8 or uint16; in memory, on a disk, or zarr.

    `bits` is how many bits of 16 hold data, where they are yet to be scaled to the whole range.
    """

    path: Path
    array: Any
    channels_first: bool = False
    bits: int | None = None

    @property
    def size(self) -> Size:
        """Height and width."""
        height, width = self.array.shape[1:] if self.channels_first else self.array.shape[:2]
        return height, width

    @property
    def white(self) -> int:
        """The largest value of the type of its pixels."""
        return int(np.iinfo(self.array.dtype).max)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return a part of the image, (C, h, w); DataError if it cannot be decoded."""
        try:
            part = self.array[:, rows, columns] if self.channels_first else self.array[rows, columns]
        except MemoryError:
            raise
        except Exception as error:  # each codec fails in its own way on damaged chunks
            raise DataError(f"{self.path}: it cannot be decoded ({first_line(error)}); replace it") from error
        part = part if self.channels_first else np.moveaxis(np.atleast_3d(part), 2, 0)
        pixels = np.ascontiguousarray(part, part.dtype.newbyteorder("="))
        return pixels if self.bits is None else stretched(pixels, self.bits, self.path)


def open_zarr(path: Path, channels: int, reading: Reading) -> ImageArray:
    """Return the zarr array (version 2 or 3) in a folder as an image of so many channels.

    Raises SegbenchError without the library, DataError for what is no array, or none of an image.
    """
    require("large", "zarr")
    import zarr

    try:
        array = zarr.open_array(path, mode="r")
        metadata = array.metadata.to_dict()
    except Exception as error:
        raise DataError(
            f"{path}: it is no zarr array ({first_line(error)}); of a group name one array, such as {path / '0'}"
        ) from error
    coded = [metadata.get(name) for name in ("codecs", "compressor", "filters")]
    if unknown := set(_names_in(coded)) - _CODECS:
        raise DataError(
            f"{path}: it is stored with {', '.join(sorted(unknown))}; allowed are {', '.join(sorted(_CODECS))}"
        )
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise DataError(f"{path}: {array.dtype} pixels; allowed are whole numbers of 8 or 16 bits: convert the array")
    image = ImageArray(path, array, _has_channels_first(array.shape, channels, path), reading.bits)
    check_pixels(*image.size, path, reading)
    return image


def _names_in(entry: Any) -> Iterator[str]:
    """Yield the names of codecs in an array's metadata, also of those inside others."""
    if isinstance(entry, dict):
        yield from (str(entry[key]) for key in ("id", "name") if key in entry)
        entry = list(entry.values())
    if isinstance(entry, (list, tuple)):
        for part in entry:
            yield from _names_in(part)


def _has_channels_first(shape: tuple[int, ...], channels: int, path: Path) -> bool:
    """Tell whether an array is (C, H, W) and not (H, W, C); DataError if it is neither or may be both."""
    last = shape[2:] == (channels,) or (len(shape) == 2 and channels == 1)
    first = len(shape) == 3 and shape[0] == channels
    if first == last or 0 in shape:
        raise DataError(
            f"{path}: its shape is {list(shape)}; an image of {channels} channels is (height, width, {channels}) or "
            f"({channels}, height, width), one of the two"
        )
    return first


@contextmanager
def writing_labels(target: Path, image: ImageArray, recorded: RecordedNetwork) -> Iterator[Any]:
    """Make a zarr array for the labels (H, W) of another, of its version, that takes its name when the block ends.

    Its chunks have as many rows as a window moves on. A label map of segbench that has its name is replaced. Raises
    RecordError for anything else there, or if it cannot be written.
    """
    import zarr

    dataset, window = recorded.dataset, recorded.protocol.window
    rows = window.stride[0] if window else _CHUNK
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(target, is_label_map) as folder:
        yield zarr.create_array(
            folder,
            shape=image.size,
            chunks=(min(rows, image.size[0]), min(_CHUNK, image.size[1])),
            dtype="uint8" if len(dataset.classes) <= 256 else "uint16",
            attributes={_MARK: {"key": recorded.key, "classes": dataset.classes, "palette": dataset.palette}},
            zarr_format=image.array.metadata.zarr_format,
        )


def is_label_map(folder: Path) -> bool:
    """Tell whether a folder is a label map that segbench wrote as zarr."""
    import zarr

    try:
        return _MARK in zarr.open_array(folder, mode="r").attrs
    except Exception:  # of whatever is none
        return False
