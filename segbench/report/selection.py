"""Selectors: which records of a method are meant where its name stands for several recipes.

`unet@3f2a` is the recipe of the cell whose key begins so, `unet@latest` the one that was begun last, `unet=DIR` what is
recorded in a folder; `unet@latest=DIR` is both. Without a selector all records of a method are meant. A number after @
belongs to a name, that of a method at a dose: `critic@0.3`, `critic@0.3~frozen`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import RecordError, alternatives
from segbench.store.folder import is_recorded, record_of

from . import cell_spec
from .folds import folds_of
from .records import identity, read_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.store.record import Record

    from .records import Identity, Sources


LATEST = "latest"
# So many digits of a key are shown; more are rarely needed.
SHOWN_DIGITS = 8
# A dose is written as Python does a float, so that it holds what no key does: a dot or a sign.
_DOSE = r"@[0-9.]+(?:[.][0-9]+|e[+-][0-9]+)(?:[~#][^@=]+)?"
_FORM = re.compile(rf"(?P<method>[^@=]+(?:{_DOSE})?)(?:@(?P<key>[^@=]+))?(?:=(?P<folder>.+))?")


class Selector(NamedTuple):
    """A method; the beginning of a key, or "latest"; the folder in which it is recorded."""

    method: str
    key: str | None = None
    folder: Path | None = None


def is_selector(text: str) -> bool:
    """Tell whether a text selects one recipe of a method, and is not the path of something that exists."""
    return bool({"@", "="} & set(text)) and not Path(text).exists()


def parse_selector(text: str) -> Selector:
    """Read NAME, NAME@KEY, NAME@latest, NAME=DIR or NAME@KEY=DIR; RecordError for anything else.

    >>> parse_selector("unet@latest=old results")
    Selector(method='unet', key='latest', folder=PosixPath('old results'))
    >>> parse_selector("critic@0.3~frozen@3f2a")
    Selector(method='critic@0.3~frozen', key='3f2a', folder=None)
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise RecordError(f"{text!r} is no selector; write NAME, NAME@KEY, NAME@latest or NAME=DIR")
    folder = found["folder"]
    return Selector(found["method"], found["key"], Path(folder).expanduser() if folder else None)


def split_sources(texts: Sequence[str]) -> tuple[list[Path], list[Selector]]:
    """Return the folders and the selectors among some texts; without a folder it is `results`."""
    selectors = [parse_selector(text) for text in texts if is_selector(text)]
    folders = [Path(text).expanduser() for text in texts if not is_selector(text)]
    return folders or [Path("results")], selectors


def select(sources: Sources, selector: Selector) -> frozenset[Identity]:
    """Return the finished records that a selector means; RecordError if there are none, or its key is ambiguous."""
    named = _records_of(sources, selector)
    if selector.key is None:
        return frozenset(map(identity, named))
    if selector.key == LATEST:
        return frozenset(identity(record) for record in named if _is_of_latest_recipe(record, named))
    return frozenset(
        identity(record) for record in named if cell_spec.recipe_text(record) == _recipe_of_key(selector, named)
    )


def restrict(sources: Sources, selectors: Sequence[Selector]) -> Sources:
    """Return the records without those of the selectors' methods that these do not mean."""
    wanted = {identity for selector in selectors for identity in select(sources, selector)}
    methods = {selector.method for selector in selectors}

    def is_meant(record: Record) -> bool:
        return record.method not in methods or record.status != "ok" or identity(record) in wanted

    return replace(sources, records=tuple(filter(is_meant, sources.records)))


def keep_folders(sources: Sources, selectors: Sequence[Selector]) -> Sources:
    """Return the records without those of the recipes that selectors with a folder mean that lie in other folders."""
    wanted = {identity for selector in selectors for identity in select(sources, selector)}
    recipes = {
        (record.method, cell_spec.recipe_text(record)) for record in sources.ranked if identity(record) in wanted
    }

    def is_meant(record: Record) -> bool:
        is_of_them = record.status == "ok" and (record.method, cell_spec.recipe_text(record)) in recipes
        return identity(record) in wanted or not is_of_them

    return replace(sources, records=tuple(filter(is_meant, sources.records))) if selectors else sources


def name_apart(sources: Sources, one: Selector, other: Selector) -> tuple[Sources, Selector]:
    """Return the records and the second selector, its records under a name of their own if both mean one recipe.

    So one recipe that ran on two machines, each with its folder, is two methods that may be compared.
    """
    ours, theirs = (select(sources, selector) for selector in (one, other))
    apart = theirs - ours
    recipes = [
        {cell_spec.recipe_text(record) for record in sources.ranked if identity(record) in meant}
        for meant in (ours, theirs)
    ]
    if other.folder is None or not apart or recipes[0].isdisjoint(recipes[1]):
        return sources, other
    name = f"{other.method}={other.folder}"
    records = (
        record.model_copy(update={"method": name}) if identity(record) in apart else record
        for record in sources.records
    )
    return replace(sources, records=tuple(records)), Selector(name)


def find_cell_record(text: str, results: Path) -> Path:
    """Return the record file of a path, a key, the beginning of one, or a selector; RecordError if it means no cell."""
    from segbench.engine.recorded import find_record

    return find_one_record(text, results) if is_selector(text) else find_record(text, results)


def find_one_record(text: str, results: Path, seed: int | None = None) -> Path:
    """Return the file of the one finished record that a selector means; RecordError if there is none or several.

    With a seed it means the record of that seed of its recipe.
    """
    selector = parse_selector(text)
    sources = read_sources([selector.folder or results])
    named = _records_of(sources, selector)
    if seed is not None:
        meant = select(sources, selector)
        found = [record for record in named if identity(record) in meant and record.seed == seed]
    elif selector.key == LATEST:
        found = [max(named, key=cell_spec.start_time)]
    else:
        found = [record for record in named if _has_key(record, selector)]
    if len(found) != 1:
        of_seed = "" if seed is None else f" with seed {seed}"
        raise RecordError(
            f"{text!r}{of_seed} means {len(found) or 'none'} of these cells: {_list_cells(found or named)}; "
            f"write one of them, or {selector.method}@{LATEST}"
        )
    return record_of(sources.cell_folders[identity(found[0])])


def find_records(texts: Sequence[str], results: Path, benchmark: str | None = None) -> tuple[Sources, list[Record]]:
    """Return the finished records that some texts mean, and all records of the folders that they lie in.

    A text is a method or a selector, which means all seeds of a recipe, a key or the beginning of one, or the path of a
    record. Raises RecordError for what means nothing.
    """
    paths = [Path(text) for text in texts if Path(text).suffix == ".json" and is_recorded(Path(text))]
    selectors = {text: parse_selector(text) for text in texts if is_selector(text)}
    folders = [path.parent for path in paths] + [one.folder for one in selectors.values() if one.folder]
    named = [text for text in texts if Path(text) not in paths and not (text in selectors and selectors[text].folder)]
    sources = read_sources(list(dict.fromkeys([*folders, *([results] if named or not folders else [])])), benchmark)
    wanted: set[Identity] = set()
    for text in texts:
        wanted |= select(sources, selectors[text]) if text in selectors else _find_named(text, sources)
    return sources, [record for record in sources.finished if identity(record) in wanted]


def _find_named(text: str, sources: Sources) -> frozenset[Identity]:
    """Return the finished records of a method, of a key, or of the beginning of one key."""
    methods = {record.method for record in sources.finished}
    key = Path(text).stem
    found = [record for record in sources.finished if record.method == text]
    found = found or [record for record in sources.finished if record.key.startswith(key)]
    if not found:
        unknown = f"{text!r} is no method and begins no key of a finished cell.{alternatives(text, methods)}"
        raise RecordError(unknown).among(sorted(methods))
    if found[0].method != text and len({record.key for record in found}) > 1:
        raise RecordError(f"{text!r} begins several keys: {_list_cells(found)}; write more of one")
    return frozenset(map(identity, found))


def name_recipe(record: Record) -> str:
    """Return the selector of a record's recipe."""
    return f"{record.method}@{record.key[:SHOWN_DIGITS]}"


def _records_of(sources: Sources, selector: Selector) -> list[Record]:
    """Return the finished records of a selector's method, in its folder if it has one."""
    named = [record for record in sources.finished if record.method == selector.method]
    if not named:
        names = sorted({record.method for record in sources.finished})
        unknown = f"no finished cell of a method {selector.method!r}.{alternatives(selector.method, names)}"
        raise RecordError(unknown).among(names)
    if selector.folder is None:
        return named
    folder = selector.folder.resolve()
    inside = [one for one in named if sources.cell_folders[identity(one)].resolve().is_relative_to(folder)]
    if not inside:
        raise RecordError(f"no finished cell of {selector.method!r} in {selector.folder}")
    return inside


def _has_key(record: Record, selector: Selector) -> bool:
    return selector.key is None or any(one.key.startswith(str(selector.key)) for one in folds_of(record))


def _recipe_of_key(selector: Selector, named: Iterable[Record]) -> str:
    found = {cell_spec.recipe_text(record): record for record in named if _has_key(record, selector)}
    if not found:
        raise RecordError(f"no key of {selector.method!r} begins with {selector.key!r}; there are {_list_cells(named)}")
    if len(found) > 1:
        listed = ", ".join(f"{selector.method}@{record.key}" for record in found.values())
        raise RecordError(f"{selector.method}@{selector.key} may be each of {listed}; write more of the key")
    return next(iter(found))


def _is_of_latest_recipe(record: Record, named: Iterable[Record]) -> bool:
    """Tell whether a record has the recipe that was begun last on its data."""
    beside = [one for one in named if _data(one) == _data(record)]
    return cell_spec.recipe_text(max(beside, key=cell_spec.start_time)) == cell_spec.recipe_text(record)


def _data(record: Record) -> tuple[str, str, str]:
    return record.benchmark, record.dataset, cell_spec.pooled_subset(record)


def _list_cells(records: Iterable[Record]) -> str:
    return ", ".join(f"{name_recipe(one)} ({one.benchmark} / {one.dataset} / seed {one.seed})" for one in records)
