"""The libraries that a component needs: whether they are installed, and how to get them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from segbench.errors import ComponentError

if TYPE_CHECKING:
    from .offers import Offer


def installed_versions(offer: Offer) -> dict[str, str | None]:
    """Return the version of each distribution in the component's `requires`; None where it is not installed."""
    return {name: _version(name) for name in offer.component.requires}


def check_requirements(offer: Offer) -> None:
    """Raise ComponentError with the `pip install` command if a library that the component needs is missing."""
    missing = [name for name, found in installed_versions(offer).items() if found is None]
    if missing:
        extra = offer.component.extra
        wanted = f"'{offer.distribution}[{extra}]'" if extra and offer.file is None else " ".join(missing)
        raise ComponentError(
            f"{offer.kind} {offer.full_name} needs {', '.join(missing)}, not installed here: pip install {wanted}"
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
