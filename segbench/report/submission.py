"""Submissions: folders of records, of what belongs to them and of the benchmark file they come from, for others."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from segbench.errors import RecordError, SegbenchError
from segbench.files import open_file, read_file
from segbench.plan.repeat import read_cell
from segbench.store.counts import COUNTS, read_counts
from segbench.store.folder import EVENTS, files_of, read_record, record_of
from segbench.store.json_file import read_model, sealed_json
from segbench.store.pictures import SAMPLES, file_name
from segbench.store.record import Part
from segbench.store.verification import VERIFIED
from segbench.store.whole_folder import replacing_folder, write_file

from . import cell_spec
from .numbers import plural
from .ranking.comparable import read_own_counts
from .recipe import find_strangers, write_recipe
from .records import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from segbench.plan.cell import Cell
    from segbench.registry import Registry
    from segbench.store.record import Record

    from .records import Sources

ENTRY = "entry.json"
RECIPE = "recipe.yaml"


class Entry(Part):
    """What a submission holds: its benchmarks, and the SHA-256 of each file by its path in the folder."""

    format: Literal["segbench submission"] = "segbench submission"
    version: Literal[1] = 1
    segbench: str
    benchmarks: tuple[str, ...]
    files: dict[str, str]


def read_entry(folder: Path) -> Entry:
    """Return what the manifest of a submission says; RecordError if it cannot be read, was changed or is none."""
    return read_model(folder / ENTRY, Entry, "is not the manifest of a submission")


def is_entry(folder: Path) -> bool:
    """Tell whether a folder is a submission that can be read."""
    try:
        read_entry(folder)
    except RecordError:
        return False
    return True


def list_submitted(sources: Sources, chosen: Iterable[Record]) -> list[Record]:
    """Return chosen records and those beside them that they build on, upstream first.

    Raises RecordError if one was only scored, has no counts of its own, or an upstream record is missing.
    """
    found: dict[tuple[str, str], Record] = {}

    def add(record: Record, folder: Path) -> None:
        if cell_spec.is_scored_only(record):
            raise RecordError(f"{record.method} ({record.key}) was scored only, so nobody could repeat it")
        for reason, key in read_cell(record).upstream.items():
            path = record_of(folder).with_name(f"{key}.json")
            try:
                upstream = read_record(path)
            except (OSError, RecordError) as error:
                raise RecordError(f"{record.key} builds on {path} ({reason}), which cannot be read: {error}") from error
            add(upstream, files_of(path.parent, upstream))
        found.setdefault((record.benchmark, record.key), record)

    for record in chosen:
        read_own_counts(record, sources)
        add(record, sources.cell_folders[identity(record)])
    return list(found.values())


def pack(
    sources: Sources, records: Sequence[Record], recipe: Path | None, registry: Registry, output: Path
) -> list[str]:
    """Write a submission of records that `list_submitted` returns, whole or not at all; return what to beware of.

    `recipe` is the benchmark file, by default one that is made of the records. Raises RecordError if it does not have
    these cells, and if the folder stands there and is no submission, or cannot be written.
    """
    warnings: list[str] = []
    with replacing_folder(output, is_entry) as folder:
        for benchmark in dict.fromkeys(record.benchmark for record in records):
            own = [(record, _folder_of(record, sources)) for record in records if record.benchmark == benchmark]
            cells = [read_cell(record) for record, _ in own]
            place = folder / record_of(own[0][1]).parent.name
            text = _read_text(recipe) if recipe else write_recipe(cells) + _tail(cells)
            write_file(place / RECIPE, text.encode())
            warnings += _check_recipe(place / RECIPE, cells, registry)
            for record, source in own:
                _pack_record(record, source, place)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): _hash(path) for path in paths}
        entry = Entry(
            segbench=version("segbench"),
            benchmarks=tuple(dict.fromkeys(record.benchmark for record in records)),
            files=files,
        )
        write_file(folder / ENTRY, sealed_json(entry.model_dump(mode="json")))
    return warnings


def find_altered(folder: Path, entry: Entry, record: Record, cell_folder: Path) -> str | None:
    """Say which file of a record, whose other files are in `cell_folder`, is not as its submission packed it, or None.

    A mark of `segbench verify` may stand beside them. Raises RecordError if the counts cannot be read.
    """
    file = record_of(cell_folder)
    own, name, cell = (path.relative_to(folder).as_posix() for path in (cell_folder, file, file.with_suffix("")))
    found = [path for path in file.with_suffix("").rglob("*") if path.is_symlink() or not path.is_dir()]
    there = {name, *(path.relative_to(folder).as_posix() for path in found)} - {f"{own}/{VERIFIED}"}
    packed = {one for one in entry.files if one.startswith((name, f"{cell}/"))}
    if missing := packed - there:
        return f"{min(missing)} is missing"
    for one in sorted(there):
        try:
            if _hash(folder / one) != entry.files.get(one):
                return f"{one} is not what was packed"
        except OSError as error:
            return f"{one} cannot be read: {error.strerror or error}"
    strange = there - {name, *(f"{own}/{one}" for one in _files_of(record, cell_folder))}
    return f"{min(strange)} does not belong into a submission" if strange else None


def _folder_of(record: Record, sources: Sources) -> Path:
    """Return the folder of a record's files: upstream records lie in the same folder as one of a benchmark's."""
    if identity(record) in sources.cell_folders:
        return sources.cell_folders[identity(record)]
    places = {record_of(folder).parent for folder in sources.cell_folders.values()}
    return next(files_of(place, record) for place in sorted(places) if (place / f"{record.key}.json").is_file())


def _files_of(record: Record, folder: Path) -> list[str]:
    """Return what a submission holds of a record's files: counts, events, label maps, plugin files, but no images."""
    images = read_counts(folder).ids if record.scores else ()
    label_maps = [f"{SAMPLES}/{file_name(image)}.png" for image in images]
    return [COUNTS, EVENTS, *label_maps, *(file.copy_path for file in record.plugin_files)]


def _hash(path: Path) -> str:
    with open(open_file(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack_record(record: Record, source: Path, target: Path) -> None:
    write_file(target / f"{record.key}.json", read_file(record_of(source)))
    for name in _files_of(record, source):
        path = source / name
        if not path.resolve().is_relative_to(source.resolve()):
            raise RecordError(f"{record_of(source)} names a file outside its folder: {name}")
        if path.is_file():
            write_file(files_of(target, record) / name, read_file(path))


def _tail(cells: Sequence[Cell]) -> str:
    return f"# Made by `segbench submit` of {len(cells)} recorded cells; run it with: segbench run {RECIPE}\n"


def _read_text(recipe: Path) -> str:
    try:
        return read_file(recipe).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"--recipe {recipe} cannot be read: {error}") from error


def _check_recipe(path: Path, cells: Sequence[Cell], registry: Registry) -> list[str]:
    """Return a warning if the benchmark file cannot be checked here; RecordError if it lacks a cell."""
    try:
        strangers = find_strangers(path, cells, registry)
    except SegbenchError as error:
        return [f"{RECIPE} could not be checked here: {str(error).replace(str(path), RECIPE)}"]
    if strangers:
        raise RecordError(
            f"the benchmark file lacks {len(strangers)} of {plural(len(cells), 'cell')} as recorded, such as "
            f"{strangers[0].label}; name the file that they come from with --recipe"
        )
    return []
