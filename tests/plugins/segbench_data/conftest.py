"""Small image files, written where a test wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def save_pair(save: Callable[..., NDArray[Any]]) -> Callable[..., None]:
    """Writes an image of noise and its mask, into images/ and masks/ of a root."""

    def write(root: Path, stem: str, mask: Any = ((0, 1), (1, 0))) -> None:
        labels = np.asarray(mask, dtype=np.uint8)
        seed = np.frombuffer(stem.encode(), dtype=np.uint8).astype(np.uint32)
        pixels = np.random.default_rng(seed).integers(0, 256, (*labels.shape, 3), dtype=np.uint8)
        save(root / "images" / f"{stem}.png", pixels)
        save(root / "masks" / f"{stem}.png", labels)

    return write
