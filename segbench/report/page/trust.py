"""The room of trust: what failed and what to beware of, what each number means, and how each cell is repeated."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from segbench.report import cell_spec
from segbench.report.formats.definitions import define_numbers
from segbench.report.formats.layout import (
    explain_health,
    explain_missing_intervals,
    explain_pairs,
    list_failures,
    warn_of_rankings,
    warn_of_timing,
)
from segbench.report.formats.tables import explain_missing_differences
from segbench.report.numbers import MISSING, Table, letter

from .parts import Room
from .templates import templates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.report.ranking.groups import Report
    from segbench.store.record import Record


def trust(report: Report) -> Room:
    """Return failures, warnings, definitions, provenance and the command that repeats each cell."""
    records = report.records
    html = (
        templates()
        .get_template("trust.html.j2")
        .render(
            failures=list_failures(report),
            failed=len(report.without_result),
            warnings=list(_warn(report)),
            definitions=define_numbers(report),
        )
    )
    tables = (_provenance(records), list_sources(records), _commands(report))
    return Room(
        id="trust",
        title="Trust",
        lead="What failed, what to beware of, what each number means, and how each cell is run again.",
        html=html,
        tables=tuple(table for table in tables if table.rows),
    )


def _warn(report: Report) -> Iterator[str]:
    yield from warn_of_rankings(report)
    for group in report.groups:
        yield from explain_missing_intervals(group.rows)
        yield from explain_pairs(group)
        yield from explain_missing_differences(group.comparisons)
        yield from explain_health(group.rows)
        yield from (line for where in group.places for line in warn_of_timing(group.under(where)))


def _provenance(records: list[Record]) -> Table:
    """Return on what machines and with what versions the cells were run, a column for each combination."""
    names = ("segbench", "commit", "torch", "python", "cuda", "cudnn", "device_name", "cpu", "machine", "platform")
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        values = tuple(MISSING if (value := record.environment.get(name)) is None else str(value) for name in names)
        found.setdefault(values, []).append(record)
    rows = [[name.replace("_", " "), *values] for name, values in zip(names, zip(*found, strict=True), strict=True)]
    rows += [
        ["begun", *(cell_spec.days(made) or MISSING for made in found.values())],
        ["cells", *(str(len(made)) for made in found.values())],
    ]
    headers = ["", *map(letter, range(len(found)))]
    return Table(headers, rows if found else [], "Provenance: machines and versions", tuple(range(len(headers))))


def list_sources(records: list[Record]) -> Table:
    """Return the hash of the source of each component, and the versions of what these require."""
    sources: dict[tuple[str, str], None] = {}
    for record in records:
        for name, value in [
            *(record.spec.get("sources") or {}).items(),
            *(record.spec.get("versions") or {}).items(),
            *((f"file {file.plugin}", f"SHA-256 {file.sha256}") for file in record.plugin_files),
            *record.provenance.items(),
        ]:
            sources.setdefault((str(name), str(value)))
    rows = [[name, value] for name, value in sorted(sources)]
    return Table(["component or library", "hash of its source, or version"], rows, "Plugins and libraries", (0, 1))


def _commands(report: Report) -> Table:
    """Return the command that runs each cell again; label maps from elsewhere have none."""
    rows = [
        [record.key, record.dataset, record.subset, record.method, str(record.seed), record.status, command]
        for record in report.records
        for command in [_command(record, report)]
    ]
    headers = ["key", "dataset", "subset", "method", "seed", "status", "command"]
    return Table(headers, rows, "Every cell, and the command that runs it again", (0, 1, 2, 3, 5, 6))


def _command(record: Record, report: Report) -> str:
    if cell_spec.is_scored_only(record):
        return MISSING
    return shlex.join(cell_spec.repeat_command(record, report.folder_of(record)))
