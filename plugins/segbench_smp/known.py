"""Names of encoders, checked when a benchmark file is read; most without importing SMP and timm: that takes seconds."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def require_encoder(encoder: str) -> str:
    """Return the name of an encoder; SegbenchError, with the nearest names, unless SMP or timm knows it."""
    if not _is_in_the_source(encoder):
        from .encoders import check_encoder

        check_encoder(encoder)
    return encoder


# The type of the option `encoder`.
Encoder = Annotated[str, AfterValidator(require_encoder)]


def _is_in_the_source(encoder: str) -> bool:
    """Tell whether the source of SMP or timm defines an encoder where it is looked for; if not, it may still exist."""
    name = encoder.removeprefix("tu-")
    if name == encoder:
        return f'\n    "{name}": {{' in _read_source("segmentation_models_pytorch", "encoders")
    defined = f"\n    '{name}': _" if "." in name else f"@register_model\ndef {name}("
    return defined in _read_source("timm", "models")


@cache
def _read_source(package: str, folder: str) -> str:
    spec = find_spec(package)
    folders = [Path(found) / folder for found in (spec and spec.submodule_search_locations) or ()]
    return "\n".join(file.read_text(encoding="utf-8") for one in folders for file in sorted(one.glob("*.py")))
