"""`segbench plan`: the cells of a benchmark, their keys, what is recorded, and how small a difference it can detect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import BenchmarkFile, Json, Only, Results, Seeds, Sets, TestFolds, open_selected
from .output import columns, print_content

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.plan.cell import Cell
    from segbench.plan.plan import Plan
    from segbench.plan.power import DesignPower, Sensitivity, Tested
    from segbench.store.folder import ResultsFolder


# The column RECORDED by the status of a cell's record; None without a record.
RECORDED_TEXTS = {
    "ok": "ok",
    "failed": "failed, will be tried again",
    "skipped": "skipped, will be tried again",
    "interrupted": "interrupted, will be resumed",
    "corrupt": "corrupt, will be set aside and redone",
    None: "no",
}


def plan(
    benchmark: BenchmarkFile,
    sets: Sets = None,
    only: Only = None,
    seeds: Seeds = None,
    folds: TestFolds = None,
    results: Results = Path("results"),
    device: Annotated[str, typer.Option(help="Device that the run would use: auto, cpu, cuda, cuda:1.")] = "auto",
    json: Json = False,
) -> None:
    """Show the cells of a benchmark, those that others need first, with keys, records and warnings."""
    from segbench.plan.power import compare_tested, compute_design_power, read_recorded_scores
    from segbench.plan.warnings import plan_warnings
    from segbench.store.folder import ResultsFolder

    opened = open_selected(benchmark, sets, only, seeds, folds)
    folder = ResultsFolder(results, opened.benchmark.name)
    design = compute_design_power(opened.benchmark, read_recorded_scores(opened.cells, folder))
    tested = compare_tested(opened.benchmark, opened.datasets, design) if design else []
    content = {
        **_describe(opened, folder),
        "design": _describe_design(design, tested),
        "warnings": [*opened.data_warnings, *plan_warnings(opened.benchmark, opened.cells, device=device)],
    }
    print_content(content, json, _as_text)


def read_status(folder: ResultsFolder, key: str | None) -> str | None:
    """Return the status of a cell's record, "corrupt" if it cannot be read, None if there is none; changes nothing."""
    from segbench.errors import RecordError
    from segbench.store.folder import read_record
    from segbench.store.segments import is_packed

    if key is None:
        return None
    if is_packed(folder.record_path(key)):  # as only finished cells are
        return "ok"
    if not folder.existing_path(key).is_file():
        return None
    try:
        return read_record(folder.existing_path(key)).status
    except RecordError:
        return "corrupt"


def _describe(opened: Plan, folder: ResultsFolder) -> dict[str, Any]:
    """Return what is known of the cells, ready for JSON."""
    benchmark = opened.benchmark
    return {
        "benchmark": benchmark.name,
        "source": benchmark.source,
        "results": str(folder.path),
        "datasets": {name: _describe_dataset(opened, name) for name in benchmark.datasets},
        "cells": [_describe_cell(cell, folder) for cell in opened.cells],
        "trials": {
            trial: settings
            for method in benchmark.methods.values()
            for trial, settings in (method.tuning.trials if method.tuning else {}).items()
        },
    }


def _describe_dataset(opened: Plan, name: str) -> dict[str, Any]:
    use, problem = opened.benchmark.datasets[name], opened.missing.get(name)
    return {
        "use": use.use,
        "root": use.root,
        "fingerprint": opened.fingerprints.get(name),
        "problem": None if problem is None else str(problem),
    }


def _describe_cell(cell: Cell, folder: ResultsFolder) -> dict[str, Any]:
    return {
        "dataset": cell.dataset_name,
        "subset": cell.subset,
        "method": cell.method.name,
        "seed": cell.seed,
        "key": cell.key,
        "needs": [
            {"reason": reason, "method": cell.method.needed_for(reason), "key": key}
            for reason, key in cell.upstream.items()
        ],
        "recorded": read_status(folder, cell.key),
    }


def _as_text(content: dict[str, Any]) -> str:
    from segbench.config.tuning import format_settings
    from segbench.report.numbers import plural

    cells = content["cells"]
    count = sum(cell["recorded"] == "ok" for cell in cells)
    problems = {name: dataset["problem"] for name, dataset in content["datasets"].items() if dataset["problem"]}
    return "\n".join(
        [
            f"{content['benchmark']} ({content['source']})",
            _table(cells),
            f"{plural(len(cells), 'cell')}, {count} of them recorded in {content['results']}",
            *(f"trial {name}: {format_settings(settings)}" for name, settings in content["trials"].items()),
            *(f"key unknown without the data of {name}: {problem}" for name, problem in problems.items()),
            *_design_lines(content["design"]),
            *(f"warning: {warning}" for warning in content["warnings"]),
        ]
    )


def _table(cells: list[dict[str, Any]]) -> str:
    """Return the cells as columns; of the subsets only where any is not everything."""
    from segbench.plan.cell import EVERYTHING

    rows = [("DATASET", "SUBSET", "METHOD", "SEED", "NEEDS", "KEY", "RECORDED"), *map(_row, cells)]
    if all(cell["subset"] == EVERYTHING for cell in cells):
        rows = [(dataset, *others) for dataset, _, *others in rows]
    return columns(rows)


def _row(cell: dict[str, Any]) -> tuple[str, ...]:
    key = cell["key"] or "key unknown"
    trials = [need for need in cell["needs"] if need["reason"].startswith("trial ")]
    others = [need for need in cell["needs"] if need not in trials]
    parts = [f"{method} ({why})" for method, why in _reasons(others).items()]
    needs = ", ".join([*parts, f"{len(trials)} trials"] if trials else parts)
    return (
        cell["dataset"],
        cell["subset"],
        cell["method"],
        str(cell["seed"]),
        needs,
        key,
        RECORDED_TEXTS[cell["recorded"]],
    )


def _reasons(needs: list[dict[str, Any]]) -> dict[str, str]:
    """Return for each method that a cell needs why; of folds only their number."""
    reasons: dict[str, list[str]] = {}
    for need in needs:
        reasons.setdefault(need["method"], []).append(need["reason"])
    return {method: _shorten(given) for method, given in reasons.items()}


def _shorten(reasons: list[str]) -> str:
    folds = [reason for reason in reasons if " fold " in reason]
    rest = [reason for reason in reasons if reason not in folds]
    return ", ".join([*rest, f"{len(folds)} folds"] if folds else rest)


def _describe_design(design: DesignPower | None, tested: Iterable[Tested]) -> dict[str, Any] | None:
    """Return it ready for JSON, mIoU as fractions of 1; None where nothing is compared."""
    if design is None:
        return None
    sights = [_describe_sensitivity(sight) for sight in design.sights]
    return {**design._asdict(), "sights": sights, "tested": [one._asdict() for one in tested]}


def _design_lines(content: dict[str, Any] | None) -> list[str]:
    """Return what the design can detect as lines of text, mIoU in points."""
    if content is None:
        return []
    from segbench.report.numbers import plural

    seeds, comparisons = plural(content["seeds"], "seed"), plural(content["comparisons"], "comparison")
    heading = (
        f"what {seeds} can detect in {comparisons} of a ranking (the first tested at {100 * content['level']:.4g} %), "
        f"mIoU points with {100 * content['power']:g} % power:"
    )
    sights = columns([_header(content), *map(_sight_row, content["sights"])], "  ")
    return [heading, sights, *_notes(content), *_tested_lines(content["tested"])]


def _tested_lines(tested: list[dict[str, Any]]) -> list[str]:
    """Return what is detected with seeds and images, by a fixed split and by folds."""
    from segbench.plan.power import ASSUMED_IMAGE_SD

    if not tested:
        return []
    heading = f"  with images too, if each moves a difference by {_points(ASSUMED_IMAGE_SD)} points (sd, assumed):"
    rows = [("DATASET", "TESTED A SEED", "SMALLEST DETECTED"), *map(_tested_row, tested)]
    return [heading, columns(rows, "    ")]


def _tested_row(one: dict[str, Any]) -> tuple[str, ...]:
    from segbench.report.numbers import plural

    by = "fixed split" if one["folds"] == 1 else f"{one['folds']} folds"
    ends = dict.fromkeys(map(_points, (min(one["smallest"]), max(one["smallest"]))))
    planned = " (planned)" if one["is_planned"] else ""
    return one["dataset"], f"{plural(one['images'], 'image')}, {by}{planned}", " to ".join(ends)


def _describe_sensitivity(sight: Sensitivity) -> dict[str, Any]:
    needed = [{"difference": difference, "seeds": seeds} for difference, seeds in sight.seeds_for.items()]
    return {**sight.noise._asdict(), "smallest": sight.smallest, "seeds_for": needed}


def _header(content: dict[str, Any]) -> tuple[str, ...]:
    needed = content["sights"][0]["seeds_for"]
    claimed = [f"SEEDS FOR {_points(one['difference'])}" for one in needed]
    return "SEED NOISE", "SD OF A DIFFERENCE", "SMALLEST DETECTED", *claimed


def _sight_row(sight: dict[str, Any]) -> tuple[str, ...]:
    from segbench.stats.verdict import MOST_SEEDS_SUGGESTED

    measured = "" if sight["freedom"] is None else f", freedom {sight['freedom']}"
    smallest = "nothing" if sight["smallest"] is None else _points(sight["smallest"])
    needed = [
        f"over {MOST_SEEDS_SUGGESTED}" if one["seeds"] is None else str(one["seeds"]) for one in sight["seeds_for"]
    ]
    return f"{sight['source']}{measured}", _points(sight["difference_sd"]), smallest, *needed


def _notes(content: dict[str, Any]) -> list[str]:
    seeds, floor = content["seeds"], content["sign_flip_floor"]
    if seeds == 1:
        return ["  one seed decides nothing: its intervals are over the images alone, so there is no verdict"]
    return [
        "  from the variance between seeds alone; that between images adds to it",
        f"  the exact sign-flip test over {seeds} seeds cannot fall below p = {floor:.2g}",
    ]


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
