"""Plugins: found and loaded; the components that they offer; the options of components."""

from __future__ import annotations

from .plugins import load_registry
from .registry import DisabledPlugin, Offer, PluginNotice, PluginProblem, Registry

__all__ = ["DisabledPlugin", "Offer", "PluginNotice", "PluginProblem", "Registry", "load_registry"]
