"""Plugins, the components they offer and the options of those."""

from __future__ import annotations

from .plugins import load_registry
from .registry import Offer, PluginNotice, PluginProblem, Registry, SwitchedOff

__all__ = ["Offer", "PluginNotice", "PluginProblem", "Registry", "SwitchedOff", "load_registry"]
