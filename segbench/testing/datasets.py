"""Checks of datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .check import Check

CHECKS: tuple[Check, ...] = ()
