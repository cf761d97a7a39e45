"""The command line: parse, call, print. Each command has a module of its own."""

from __future__ import annotations

from .app import main

__all__ = ["main"]
