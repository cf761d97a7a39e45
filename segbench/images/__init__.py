"""Image and mask files as arrays of what they store, whatever plugin reads them.

What would have to be dropped, scaled or guessed is refused with the name of the file; the little that is left is noted
for `segbench prepare`. Nothing here imports torch.
"""

from __future__ import annotations

from .files import IMAGE_ENDINGS, MASK_ENDINGS, image_files
from .images import read_image
from .masks import read_mask, read_mask_colours
from .opening import Reading

__all__ = [
    "IMAGE_ENDINGS",
    "MASK_ENDINGS",
    "Reading",
    "image_files",
    "read_image",
    "read_mask",
    "read_mask_colours",
]
