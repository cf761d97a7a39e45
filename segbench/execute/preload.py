"""What the fork server imports once, so that no worker has to.

Only libraries and the engine itself: a plugin module may run anything, and a CUDA call or a multi-threaded torch
operation before the fork would break every worker.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Any optimiser imports torch._dynamo, which takes seconds; pandas and pyarrow write the counts at a cell's end; the
# command line is what a worker's __main__ imports.
ALWAYS = (
    "torch",
    "torch._dynamo",
    "pandas",
    "pyarrow.parquet",
    "safetensors.torch",
    "segbench.cli",
    "segbench.engine.cell",
    "segbench.engine.preflight",
    "segbench.engine.probe",
    "segbench.engine.timing",
)


def modules_to_preload(distributions: Iterable[str]) -> tuple[str, ...]:
    """Return the modules that workers share: the engine's, and those of the named distributions."""
    return (*ALWAYS, *(name for one in sorted(distributions) for name in import_names(one)))


def import_names(name: str) -> list[str]:
    """Return the top-level packages a distribution installs; none if it is not installed.

    >>> import_names("pydantic"), import_names("no-such-distribution")
    (['pydantic'], [])
    """
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return []
    if (listed := installed.read_text("top_level.txt")) is not None:
        names = set(listed.split())
    else:
        names = {file.parts[0] for file in installed.files or () if file.name == "__init__.py"}
    main = name.replace("-", "_").lower()  # what else lies beside the main package is often its tests
    return [main] if main in names else sorted(name for name in names if name.isidentifier() and name[0] != "_")
