"""What numpy keeps for the whole process, where it has been loaded; it is not loaded for it."""

from __future__ import annotations

import sys
from typing import Any

from .setting import Setting

# https://numpy.org/doc/stable/reference/generated/numpy.seterr.html
_INITIAL_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def numpy_settings() -> list[Setting]:
    """Return what neither importing a plugin nor building a component may change."""
    numpy: Any = sys.modules.get("numpy")
    if not hasattr(numpy, "seterr"):
        return []
    return [Setting("numpy's error handling", numpy.geterr, lambda before: numpy.seterr(**before), _INITIAL_ERRORS)]


def numpy_random_settings() -> list[Setting]:
    """Return the state of its global random numbers."""
    random: Any = sys.modules.get("numpy.random")
    if not hasattr(random, "get_state"):
        return []

    def state() -> tuple[Any, ...]:
        name, words, *rest = random.get_state(legacy=True)
        return name, words.tobytes(), rest

    def put_back(before: tuple[Any, ...]) -> None:
        import numpy as np

        name, words, rest = before
        random.set_state((name, np.frombuffer(words, dtype=np.uint32), *rest))

    return [Setting("numpy's random numbers", state, put_back)]
