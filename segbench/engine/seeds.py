"""All randomness of a cell, drawn from (seed, purpose, step), so that no generator state need be stored."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, purpose: str, step: int = 0) -> int:
    """Return a 63-bit seed for one purpose ("weights", "order", "augmentation", "noise") and step.

    >>> derive(0, "order") == derive(0, "order"), derive(0, "order") == derive(0, "noise")
    (True, False)
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def random_generator(seed: int, purpose: str, step: int = 0) -> torch.Generator:
    """Return a CPU generator seeded for one purpose and step."""
    return torch.Generator().manual_seed(derive(seed, purpose, step))
