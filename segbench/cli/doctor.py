"""`segbench doctor`: what there is to work with, and what is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from .arguments import Json  # noqa: TC001 - typer reads it when it runs
from .columns import columns
from .kinds import PLURALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .diagnosis import Part

BROKEN = 1


def doctor(json: Json = False) -> None:
    """Look at devices, versions, folders and plugins; exit with 1 if something is broken."""
    from .diagnosis import diagnose

    parts = diagnose()
    typer.echo(_as_json(parts) if json else _as_text(parts))
    if any(part.problems for part in parts.values()):
        raise typer.Exit(BROKEN)


def _as_json(parts: Mapping[str, Part]) -> str:
    import json

    problems = [problem for part in parts.values() for problem in part.problems]
    notes = [note for part in parts.values() for note in part.notes]
    facts = {name: part.facts for name, part in parts.items()}
    return json.dumps({"ok": not problems, "problems": problems, "notes": notes, **facts}, indent=2)


def _as_text(parts: Mapping[str, Part]) -> str:
    texts = {"devices": _device, "versions": _version, "folders": _folder, "plugins": _plugin}
    lines = []
    for name, part in parts.items():
        rows = [texts[name](fact) for fact in part.facts]
        lines += [name, *([columns(rows, indent="  ")] if rows else [])]
    if notes := [f"  {note}" for part in parts.values() for note in part.notes]:
        lines += ["notes", *notes]
    problems = [f"  {problem}" for part in parts.values() for problem in part.problems]
    return "\n".join([*lines, *(["broken", *problems] if problems else ["nothing is broken"])])


def _device(fact: Mapping[str, Any]) -> tuple[str, ...]:
    return fact["device"], fact["name"] or "unknown", f"bf16 {fact['bf16'] or 'unknown'}"


def _version(fact: Mapping[str, Any]) -> tuple[str, ...]:
    return fact["name"], fact["version"] or "not installed", fact["accepted"]


def _folder(fact: Mapping[str, Any]) -> tuple[str, ...]:
    state = "" if fact["exists"] else "not there yet"
    return fact["name"], fact["path"], f"{fact['free_bytes'] / 1e9:.1f} GB free", state


def _plugin(fact: Mapping[str, Any]) -> tuple[str, ...]:
    offers = ", ".join(f"{count} {PLURALS[kind]}" for kind, count in fact["offers"].items() if count)
    needs = f"not installed: {', '.join(fact['needs'])}" if fact["needs"] else ""
    return (
        fact["name"],
        f"{fact['distribution']} {fact['version']}",
        offers,
        ", ".join(filter(None, [needs, fact["file"]])),
    )
