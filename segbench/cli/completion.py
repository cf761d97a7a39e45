"""What a shell completes: names of benchmarks, methods, components and datasets, found without loading plugins anew.

Typer asks these functions, writes the scripts of bash, zsh and fish (`segbench --install-completion`), and leaves files
to the shell.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from segbench.contract import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from segbench.contract import Kind

# The start of a record, in which its benchmark and its method stand.
_HEAD_BYTES = 1024
_MOST_RECORDS = 2000
# Parameters of commands that name results folders.
_PLACES = ("directories", "places", "results", "folder")
_METHOD = re.compile(r'^ "method": ("(?:[^"\\]|\\.)*"),$', re.MULTILINE)
# What decides which plugins there are, beside the files of plugins and the folders of distributions.
_VARIABLES = ("SEGBENCH_PLUGIN_FILES", "SEGBENCH_DISABLED_PLUGINS", "SEGBENCH_DISABLED_BY_OPTION")

Described = tuple[str, str]  # a name, and what is said of it


def complete_benchmark() -> list[str]:
    """Return the benchmarks that ship, and the YAML files of the working folder."""
    return sorted([*(path.stem for path in _shipped().glob("*.yaml")), *map(str, Path().glob("*.y*ml"))])


def _shipped() -> Path:
    return Path(import_module("segbench.benchmarks").__path__[0])


def complete_kind() -> list[str]:
    """Return the kinds of components."""
    return [*KINDS]


def complete_component(ctx: typer.Context) -> list[Described]:
    """Return the components of the kind that stands before on the command line, else of every kind."""
    given = str(ctx.params.get("kind"))
    return [one for kind, found in component_names().items() if given in (kind, "None") for one in found]


def complete_generator() -> list[Described]:
    """Return the generators."""
    return component_names()["generator"]


def complete_dataset() -> list[Described]:
    """Return the datasets."""
    return component_names()["dataset"]


def complete_method(ctx: typer.Context) -> list[str]:
    """Return the methods of the benchmark file that stands before on the command line."""
    from segbench.config.yaml import read_file
    from segbench.errors import SegbenchError

    named = next(filter(None, [ctx.params.get("benchmark"), *ctx.args]), "")  # before an option without its value
    shipped = _shipped() / f"{named}.yaml"
    with suppress(SegbenchError, KeyError):
        return [*read_file(shipped if shipped.is_file() else Path(named)).mapping()["methods"].mapping()]
    return []


def complete_recorded_method(ctx: typer.Context) -> list[str]:
    """Return the methods of the records in the folders on the command line, else in results/."""
    heads = (head for folder in _benchmark_folders(ctx) for head in _record_heads(folder))
    return sorted({json.loads(found[1]) for head in heads if (found := _METHOD.search(head))})


def complete_recorded_benchmark(ctx: typer.Context) -> list[str]:
    """Return the benchmarks of which there are records in the folders on the command line, else in results/."""
    return sorted({folder.name for folder in _benchmark_folders(ctx)})


def _benchmark_folders(ctx: typer.Context) -> Iterator[Path]:
    named = [ctx.params[name] for name in _PLACES if ctx.params.get(name)]
    unparsed = [word for word in ctx.args if os.path.isdir(word)]  # before an option without its value
    given = next(filter(None, [*named, unparsed]), "results")
    for place in map(Path, given if isinstance(given, list | tuple) else [given]):
        yield from (folder for folder in (place, *sorted(place.glob("*/"))) if _has_records(folder))


def _has_records(folder: Path) -> bool:
    return any(folder.glob("*.json")) or _has_segments(folder)


def _has_segments(folder: Path) -> bool:
    return (folder / "segments" / "manifest.json").is_file()


def _record_heads(folder: Path) -> Iterator[str]:
    for path in islice(folder.glob("*.json"), _MOST_RECORDS):
        with suppress(OSError), path.open("rb") as file:
            yield file.read(_HEAD_BYTES).decode("utf-8", "replace")
    if _has_segments(folder):
        yield from _packed_heads(folder)


def _packed_heads(folder: Path) -> Iterator[str]:
    """Yield the beginnings of records in segments, evenly spread, as they are sorted by method."""
    from segbench.errors import SegbenchError
    from segbench.store.segments import packed_keys, packed_record

    with suppress(SegbenchError):
        keys = list(packed_keys(folder))
        for key in keys[:: len(keys) // _MOST_RECORDS + 1]:
            yield (packed_record(folder / f"{key}.json") or b"")[:_HEAD_BYTES].decode("utf-8", "replace")


# Components. Loading all plugins takes longer than a person waits for a completion.


def component_names() -> dict[Kind, list[Described]]:
    """Return by kind the full name and the summary of every component.

    They are kept in the cache folder until a plugin, or what is installed, changes.
    """
    from segbench.errors import SegbenchError
    from segbench.plan.machine import cache_folder

    try:
        kept = cache_folder() / "component-names.json"
    except SegbenchError:
        return _load_names()[0]
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(kept.read_bytes())
        if content["stamps"] == _stamps(content["stamps"]):
            return {kind: [(name, summary) for name, summary in content["names"][kind]] for kind in KINDS}
    names, files = _load_names()
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"stamps": _stamps(files), "names": names}), encoding="utf-8")
    return names


def _load_names() -> tuple[dict[Kind, list[Described]], list[str]]:
    """Return the components of all plugins that can be loaded, and the files by whose change there may be others."""
    from segbench.registry import load_registry
    from segbench.registry.options import unwrap
    from segbench.registry.plugin_files import given_files

    registry = load_registry()
    names = {kind: [(offer.full_name, offer.component.summary) for offer in registry.offers(kind)] for kind in KINDS}
    modules = {getattr(unwrap(offer.component.build), "__module__", "") for offer in registry.installed}
    modules |= {module.partition(".")[0] for module in modules}
    files = [getattr(sys.modules.get(module), "__file__", None) for module in modules]
    return names, [*sys.path, *filter(None, files), *map(str, given_files())]


def _stamps(files: Iterable[str]) -> dict[str, Any]:
    """Return when each file and folder changed last, and the variables that say which plugins there are."""
    return {
        **{file: os.stat(file).st_mtime_ns for file in files if os.path.exists(file)},
        **{name: os.environ.get(name, "") for name in _VARIABLES},
    }
