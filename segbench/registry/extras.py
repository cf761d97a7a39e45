"""How the libraries of an extra are installed, as messages say it."""

from __future__ import annotations

import json
import shlex
from importlib.util import find_spec
from typing import Any

from segbench.errors import SegbenchError


def require(extra: str, *libraries: str) -> None:
    """Raise SegbenchError if one of these libraries, which an extra installs, is missing."""
    if missing := [name for name in libraries if find_spec(name) is None]:
        raise SegbenchError(f"{' and '.join(missing)}: not installed here; {install_command(extra)}")


def install_command(extra: str, distribution: str = "segbench") -> str:
    """Return the `pip install` command for an extra, from the folder where the distribution was installed from one.

    >>> install_command("heavy", "no-such-distribution")
    "pip install 'no-such-distribution[heavy]'"
    """
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    origin = _read_origin(distribution)
    if "dir_info" not in origin:
        return f"pip install '{distribution}[{extra}]'"
    editable = "-e " * bool(origin["dir_info"].get("editable"))
    folder = url2pathname(urlsplit(origin["url"]).path)
    return f"pip install {editable}{shlex.quote(f'{folder}[{extra}]')}"


def _read_origin(distribution: str) -> dict[str, Any]:
    """Return what pip noted of where a distribution comes from (PEP 610); empty if nothing."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import distribution as find

    try:
        noted = find(distribution).read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    return dict(json.loads(noted or "{}"))
