"""`segbench doctor`: devices, versions, folders and plugins, and what is broken."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .options import PLURALS, Json
from .output import columns, print_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from segbench.registry import Registry


BROKEN = 1


def doctor(json: Json = False) -> None:
    """Look at devices, versions, folders and plugins; exit with 1 if something is broken."""
    content = diagnose()
    print_content(content, json, _as_text)
    if not content["ok"]:
        raise typer.Exit(BROKEN)


def _as_text(content: Mapping[str, Any]) -> str:
    texts = {"devices": _device, "versions": _version, "folders": _folder, "plugins": _plugin}
    lines = []
    for name, text in texts.items():
        rows = [text(fact) for fact in content[name]]
        lines += [name, *([columns(rows, indent="  ")] if rows else [])]
    if content["notes"]:
        lines += ["notes", *(f"  {note}" for note in content["notes"])]
    problems = [f"  {problem}" for problem in content["problems"]]
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


DISTRIBUTION = "segbench"
# Compiled libraries that networks are made of.
LIBRARIES = ("torch", "torchvision", "timm", "segmentation_models_pytorch")

# `torch-extension >=1.2,<3; python_version > "3"`: the name, then what versions are accepted.
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(\[.*?\])?\s*(?P<accepted>[^;]*)(;(?P<marker>.*))?")
AT_LEAST = re.compile(r">=\s*(\d+(?:\.\d+)*)")


@dataclass
class Part:
    """What was found in one part: facts, ready for JSON, what is broken, and what else is worth knowing."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def diagnose() -> dict[str, Any]:
    """Examine every part; return the facts of each by its name, all `problems` and `notes`, and whether all is `ok`."""
    examinations: dict[str, Callable[[], Part]] = {
        "devices": examine_devices,
        "versions": examine_versions,
        "folders": examine_folders,
        "plugins": examine_plugins,
    }
    parts = {name: _examine(name, examine) for name, examine in examinations.items()}
    problems = [problem for part in parts.values() for problem in part.problems]
    notes = [note for part in parts.values() for note in part.notes]
    facts = {name: part.facts for name, part in parts.items()}
    return {"ok": not problems, "problems": problems, "notes": notes, **facts}


def _examine(name: str, examine: Callable[[], Part]) -> Part:
    """Return what is found in a part; one that cannot be examined is a problem, and hides no other."""
    try:
        return examine()
    except (Exception, SystemExit) as error:
        return Part(problems=[f"{name} could not be examined: {type(error).__name__}: {error}"])


def examine_devices() -> Part:
    """Try every device, and notice a GPU that torch does not see."""
    from segbench.engine.device import list_devices
    from segbench.plan.machine import likely_device

    part = Part(facts=list_devices())
    part.problems += [f"{fact['device']} cannot compute: {fact['error']}" for fact in part.facts if fact["error"]]
    if len(part.facts) == 1 and likely_device() == "cuda":
        part.problems.append(
            "there is an NVIDIA driver, but torch finds no CUDA device; install a torch that is built for CUDA"
        )
    return part


def examine_versions() -> Part:
    """List Python and the dependencies with their versions; what is missing, too old or broken is a problem."""
    from importlib.metadata import requires, version

    part = Part(facts=[_fact("python", ".".join(map(str, sys.version_info[:3])), ">=3.11")])
    part.facts.append(_fact(DISTRIBUTION, version(DISTRIBUTION), ""))
    part.facts += [fact for text in requires(DISTRIBUTION) or () if (fact := _dependency(text))]
    for fact in part.facts:
        wanted = f"{fact['name']}{fact['accepted']}"
        if fact["version"] is None:
            part.problems.append(f"{fact['name']} is not installed: pip install '{wanted}'")
        elif not _is_new_enough(fact["version"], fact["accepted"]):
            part.problems.append(f"{fact['name']} {fact['version']} is too old: pip install '{wanted}'")
    part.problems += import_errors()
    return part


def _dependency(requirement: str) -> dict[str, Any] | None:
    """Return the installed version of a requirement; None for one that belongs to an extra."""
    from importlib.metadata import PackageNotFoundError, version

    parsed = REQUIREMENT.match(requirement)
    if parsed is None or "extra" in (parsed["marker"] or ""):
        return None
    try:
        return _fact(parsed["name"], version(parsed["name"]), parsed["accepted"].strip())
    except PackageNotFoundError:
        return _fact(parsed["name"], None, parsed["accepted"].strip())


def _fact(name: str, version: str | None, accepted: str) -> dict[str, Any]:
    return {"name": name, "version": version, "accepted": accepted}


def _is_new_enough(version: str, accepted: str) -> bool:
    """Compare a version with the lower bound.

    >>> _is_new_enough("2.11.0+cu130", ">=2.11"), _is_new_enough("2.9", ">=2.11"), _is_new_enough("3", "")
    (True, False, True)
    """
    bound = AT_LEAST.search(accepted)
    return bound is None or _numbers(version) >= _numbers(bound[1])


def _numbers(version: str) -> list[int]:
    leading = re.match(r"\d+(\.\d+)*", version)
    return [int(part) for part in leading[0].split(".")] if leading else []


def examine_folders() -> Part:
    """Examine the cache and data folders: where they are, whether they can be used, how much space is free."""
    from segbench.plan.machine import cache_folder
    from segbench.registry.datasets import DATA_VARIABLE

    part = Part(facts=[_folder_fact("cache", cache_folder())])
    if not part.facts[0]["writable"]:
        part.problems.append(
            f"the cache folder {part.facts[0]['path']} cannot be written; set SEGBENCH_CACHE to another"
        )
    data = os.environ.get(DATA_VARIABLE)
    if data:
        part.facts.append(_folder_fact("data", Path(data).expanduser()))
        if not part.facts[1]["exists"]:
            part.problems.append(f"${DATA_VARIABLE} is {data!r}, and there is no such folder")
    return part


def _folder_fact(name: str, path: Path) -> dict[str, Any]:
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return {
        "name": name,
        "path": str(path),
        "exists": path.is_dir(),
        "writable": existing.is_dir() and os.access(existing, os.W_OK),
        "free_bytes": shutil.disk_usage(existing).free,
    }


def examine_plugins() -> Part:
    """List the plugins that could be loaded with what they offer, and say what is wrong with the others."""
    from segbench.registry import load_registry

    registry = load_registry()
    problems = [f"plugin {broken.plugin!r} ({broken.distribution}): {broken.message}" for broken in registry.problems]
    notes = [*map(str, (*registry.notices, *registry.disabled)), *_slow_plugins(registry), *_unknown_disabled(registry)]
    return Part(list(_plugins(registry)), problems, notes)


def _slow_plugins(registry: Registry) -> list[str]:
    from segbench.registry.plugins import SLOW_SECONDS

    slow = {plugin: seconds for plugin, seconds in registry.seconds.items() if seconds >= SLOW_SECONDS}
    return [f"plugin {plugin!r} took {seconds:.1f} s to load, in every command" for plugin, seconds in slow.items()]


def _unknown_disabled(registry: Registry) -> list[str]:
    from segbench.errors import nearest
    from segbench.registry.plugins import disabled_plugins

    return [
        f"{by} names the plugin {plugin!r}, which does not exist.{nearest(plugin, sorted(registry.plugins))}"
        for plugin, by in disabled_plugins().items()
        if plugin not in registry.plugins
    ]


def _plugins(registry: Registry) -> Iterator[dict[str, Any]]:
    from segbench.contract import KINDS
    from segbench.registry.options import installed_versions

    for plugin in sorted({offer.plugin for offer in registry.installed}):
        offers = [offer for offer in registry.installed if offer.plugin == plugin]
        yield {
            "name": plugin,
            "distribution": offers[0].distribution,
            "version": offers[0].version,
            "file": None if offers[0].file is None else str(offers[0].file),
            "seconds": round(registry.seconds.get(plugin, 0.0), 3),
            "offers": {kind: sum(offer.kind == kind for offer in offers) for kind in KINDS},
            "needs": sorted(
                {name for offer in offers for name, found in installed_versions(offer).items() if found is None}
            ),
        }


def import_errors() -> list[str]:
    """Import each library and say why one cannot be: torchvision built for another torch is the usual case."""
    messages = []
    for name in LIBRARIES:
        try:
            import_module(name)
        except Exception as error:  # whatever a broken library raises
            first_line = (str(error).strip() or "no message").splitlines()[0]
            messages.append(f"{name} cannot be imported: {type(error).__name__}: {first_line}")
    return messages
