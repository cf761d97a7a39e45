"""Names of backbones, checked when a benchmark file is read; most without importing timm, which takes seconds."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def require_backbone(backbone: str) -> str:
    """Return the name of a backbone; SegbenchError, with the nearest names, unless timm has it."""
    if not _is_in_the_source(backbone):
        from .names import check_backbone

        check_backbone(backbone)
    return backbone


# The type of the option `backbone`.
Backbone = Annotated[str, AfterValidator(require_backbone)]


def _is_in_the_source(backbone: str) -> bool:
    """Tell whether timm's source defines a model where it is looked for; if not, it may still exist."""
    defined = f"\n    '{backbone}': _" if "." in backbone else f"@register_model\ndef {backbone}("
    return defined in _read_source()


@cache
def _read_source() -> str:
    spec = find_spec("timm")
    folders = [Path(found) / "models" for found in (spec and spec.submodule_search_locations) or ()]
    return "\n".join(file.read_text(encoding="utf-8") for one in folders for file in sorted(one.glob("*.py")))
