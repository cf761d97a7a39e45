"""Image files of any depth, written byte by byte: Pillow cannot write many of them, and reads some of them wrongly."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def raw_png(pixels, bits=16, palette=False):
    """A PNG of whole numbers (H, W, C) as they are, of 1 to 16 bits; its lines are stored as differences."""
    height, width, channels = pixels.shape
    rows = b""
    above = None
    for row in pixels.reshape(height, width * channels):
        line = packed(row, bits)
        above = np.zeros_like(line) if above is None else above
        rows += b"\x02" + (line - above).tobytes()  # filter type 2: difference to the line above
        above = line

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    kind = 3 if palette else {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    colours = chunk(b"PLTE", bytes(range(3 * 2 ** min(bits, 6)))) if palette else b""
    body = chunk(b"IHDR", header) + colours + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def packed(numbers, bits, order=">"):
    """The bytes of a row of whole numbers, padded to whole bytes."""
    if bits == 16:
        return np.frombuffer(numbers.astype(f"{order}u2").tobytes(), np.uint8)
    digits = (numbers[:, None].astype(np.uint8) >> np.arange(bits - 1, -1, -1, dtype=np.uint8)) & 1
    return np.packbits(digits)


def raw_tiff(pixels, order="<", deflate=False, bits=None, tags=()):
    """A TIFF file of one page with any number of interleaved channels; `tags` are further (number, value)."""
    height, width, channels = pixels.shape
    bits = bits or 8 * pixels.dtype.itemsize
    content = b"".join(packed(row, bits, order).tobytes() for row in pixels.reshape(height, width * channels))
    content = zlib.compress(content) if deflate else content
    entries = {
        256: width,
        257: height,
        258: bits,
        259: 8 if deflate else 1,
        262: 2 if channels >= 3 else 1,
        273: None,
        277: channels,
        278: height,
        279: len(content),
        284: 1,
        **({338: 0} if channels > 3 else {}),
        **dict(tags),
    }
    start = 8 + 2 + 12 * len(entries) + 4
    file = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    for tag, value in sorted(entries.items()):
        count = channels if tag == 258 else channels - 3 if tag == 338 else 1
        if tag == 258 and channels > 2:
            file += struct.pack(f"{order}HHII", tag, 3, count, start)
        elif tag in (258, 338):
            file += struct.pack(f"{order}HHIHH", tag, 3, count, value, value)
        else:
            place = start + 2 * channels if value is None else value
            file += struct.pack(f"{order}HHII", tag, 4, 1, place)
    return file + struct.pack(f"{order}I", 0) + struct.pack(f"{order}{channels}H", *[bits] * channels) + content
