"""Plugins, the components they offer and the options of those."""

from __future__ import annotations

from .loading import load_registry
from .offers import Offer, PluginProblem, Registry

__all__ = ["Offer", "PluginProblem", "Registry", "load_registry"]
