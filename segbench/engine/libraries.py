"""The compiled libraries that networks are made of: whether they fit together."""

from __future__ import annotations

from importlib import import_module

LIBRARIES = ("torch", "torchvision", "timm", "segmentation_models_pytorch")


def import_errors() -> list[str]:
    """Import each library and say why one cannot be: torchvision built for another torch is the usual case."""
    return [message for name in LIBRARIES if (message := _import_error(name)) is not None]


def _import_error(name: str) -> str | None:
    try:
        import_module(name)
    except Exception as error:  # whatever a broken library raises
        first_line = (str(error).strip() or "no message").splitlines()[0]
        return f"{name} cannot be imported: {type(error).__name__}: {first_line}"
    return None
