"""What all parts of a process share is put back where a plugin changes it, and the change is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .numpy_settings import numpy_random_settings, numpy_settings
from .python_settings import import_settings, lasting_settings
from .setting import Setting, kept
from .torch_settings import torch_random_settings, torch_settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def kept_on_import() -> AbstractContextManager[list[str]]:
    """Put back at the end of the block what importing a plugin has changed; the list then says what that was."""
    return kept(lambda: [*_lasting(), *import_settings(), *torch_random_settings(), *numpy_random_settings()])


def kept_while_building() -> AbstractContextManager[list[str]]:
    """Put back at the end of the block what building a component has changed; the list then says what that was.

    Random numbers are not put back, since weights are drawn from them, nor is what libraries set for themselves.
    """
    return kept(_lasting)


def _lasting() -> list[Setting]:
    return [*lasting_settings(), *torch_settings(), *numpy_settings()]
