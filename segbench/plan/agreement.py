"""Whether a plan that a worker makes on its own machine is that of the run which the worker is for."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from pydantic import ValidationError

from segbench.errors import SpecError

from .cell import Cell
from .key import ENGINE_VERSION, engine_of, ingredients

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from segbench.store.run_file import RunFile

_MOST_REASONS = 3


def check_agreement(cells: Sequence[Cell], run: RunFile) -> None:
    """Raise SpecError if any cell is not among those of a run, and say in what the two plans differ."""
    keys = {planned.key for planned in run.cells}
    other = [cell for cell in cells if cell.key not in keys]
    if not other:
        return
    theirs = {(cell.dataset_name, cell.method.name): cell for cell in _read_examples(run)}
    found = (describe_differences(cell, theirs.get((cell.dataset_name, cell.method.name))) for cell in other)
    here = version("segbench")
    versions = [] if run.segbench == here else [f"segbench is {here} here, {run.segbench} there"]
    reasons = dict.fromkeys([*versions, *(reason for differences in found for reason in differences)])
    raise SpecError(
        f"{len(other)} of the {len(cells)} cells that are planned here are none of the run that was started on "
        f"{run.owner.host}:\n{'; '.join(list(reasons)[:_MOST_REASONS])}\n"
        "use the same file, options, plugins, data and versions as there"
    )


def _read_examples(run: RunFile) -> Iterator[Cell]:
    for spec in run.specs.values():
        try:
            yield Cell.model_validate(spec)
        except ValidationError:  # written by a segbench that knows other fields
            continue


def describe_differences(here: Cell, there: Cell | None) -> list[str]:
    """Say what tells a cell apart from one of a run with its dataset and method, None if there is none."""
    if there is None:
        return [f"the run has no method {here.method.name!r} on {here.dataset_name!r} that can be read here"]
    mine, others = ingredients(here), ingredients(there)
    engine, threads = engine_of(there), there.method.protocol.threads
    names = sorted({*here.versions, *there.versions})
    versions = [(name, here.versions.get(name), there.versions.get(name)) for name in names]
    reasons = [f"{name} is {now} here, {then} there" for name, now, then in versions if now != then]
    sources = [name for name, code in here.sources.items() if code != there.sources.get(name)]
    reasons += [f"the source code of {name} differs" for name in sources]
    if engine != ENGINE_VERSION:
        reasons.append(f"the engine of segbench is version {ENGINE_VERSION} here, {engine} there")
    if mine["dataset"] != others["dataset"]:
        reasons.append(f"the data of {here.dataset_name!r} differs")
    if here.method.protocol.threads != threads:
        reasons.append(f"cells have {here.method.protocol.threads} threads here, {threads} there (--threads)")
    elif mine["method"] != others["method"]:
        reasons.append(f"the recipe of {here.method.name!r} differs")
    return reasons or [f"the run does not have {here.label}"]
