"""How well generated images match real ones."""

from __future__ import annotations

from .features import Features
from .scores import generation_scores

__all__ = ["Features", "generation_scores"]
