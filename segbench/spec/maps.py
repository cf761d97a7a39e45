"""What follows from what a generator maps (`segbench.contracts.MAPS`)."""

from __future__ import annotations

REFINING = "image, labels -> labels"

# What gives a probability to every class at every pixel of an image.
CLASSIFYING_MAPS = ("image -> labels", REFINING)

# What makes labels that reach a critic as an encoded field.
ENCODED_MAPS = (*CLASSIFYING_MAPS, "noise -> image, labels")

# What makes images whose labels are known, for others to train on.
SYNTHESIZING_MAPS = ("labels -> image", "noise -> image, labels")

# What is fed noise.
NOISY_MAPS = ("labels -> image", "noise -> image", "noise -> image, labels")

# What is fed nothing else, so that no output is the right one.
UNCONDITIONAL_MAPS = ("noise -> image", "noise -> image, labels")


def listed(names: tuple[str, ...]) -> str:
    """Return names as messages list them.

    >>> listed(("image -> labels", "image -> image"))
    "'image -> labels', 'image -> image'"
    """
    return ", ".join(map(repr, names))
