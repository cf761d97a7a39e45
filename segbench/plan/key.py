"""The key of a cell: sixteen hexadecimal digits that stand for all that its scores depend on.

A finished cell never runs twice and a changed one always does, so the key covers all that can change the scores:

- the method: its name, what it maps, its components and all about them (full names, coerced options, weights, how the
  discriminator is trained, the placebo), the share of synthetic samples, the folds, and its protocol with the thread
  count;
- the dataset: name, component, options and fingerprint of the content; subset and seed, and under cross-validation that
  a seed starts anew in every test fold;
- files that options name, such as pretrained weights: their content, not where they lie;
- the code: source hash of each component's package, versions of what they require, the engine's version;
- the keys of the upstream cells, and so all that those depend on: the trials of a tuned method and the cell whose
  seconds a budget takes among them. What is taken from those is known only when the cell starts; it is not in the key;
- that a cell has the seed of tuning and is not reported.

The names are in it because the record carries them: two methods with one recipe are two rows of a table. Not in it are
the benchmark's name (its folder separates it) and what it compares, the dataset's root and whether its images may be
passed on, the twin, whose placebo or trial it is, what else it is compared with and the list of overridden keys (they
describe, and the recipe itself counts), whose the benchmark and the method are (authors, paper, code, licence), how the
benchmark was called and the comment on top of its file, the names of upstream methods, trials and their settings among
them (their keys count), the label fractions (the subset counts), and of the protocol `keep` and `timing` (what is kept
beside a record and how long inference is timed change no score), and `features` of what makes labels: they compare
images.

What goes into a key is identified here too: the content of a dataset wherever its files lie, the source files of a
component, and any other file, whose SHA-256 is remembered in the cache folder by path, size, times and inode.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from segbench.checksum import sha256_of_array, sha256_of_file
from segbench.config.recipe import NOISY_MAPS
from segbench.contract import SEGMENTING_MAPS
from segbench.errors import DataError, PluginError, RecordError
from segbench.registry.options import check_requirements, installed_versions, unwrap
from segbench.registry.plugin_files import content_of
from segbench.store.atomic import write_atomically
from segbench.store.json_file import read_json, sealed_json

from .cell import Subset
from .machine import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType

    from segbench.config.recipe import DatasetUse, Method
    from segbench.contract import Dataset, FileSplit, Split
    from segbench.registry import Offer

    from .cell import Cell


# Raise it with every change of the engine that changes scores: old records then no longer count as finished cells.
ENGINE_VERSION = 3

# What of a recipe counts beside its protocol; what is not there leaves no trace, so that new keys keep old cells.
SCORED: dict[str, Any] = {
    "name": True,
    "generator": True,
    "maps": True,
    "losses": True,
    "discriminator": True,
    "adversarial": True,
    "latent_channels": True,
    "refines": {"folds"},
    "trains_on": {"share"},
    "unlabelled": {"loss", "threshold", "weight"},
}

# Protocol keys that change no score.
UNSCORED = frozenset({"keep", "timing"})


def cell_key(cell: Cell, engine: int | None = None, shared: Mapping[str, str] | None = None) -> str | None:
    """Return the key of a cell with an engine, by default this one.

    None while its data or that of an upstream cell cannot be read. `shared` is what `write_shared` returns of it, or of
    another cell of its method on its dataset.
    """
    if cell.fingerprint is None or None in cell.upstream.values():
        return None
    own = {name: _canonical(value) for name, value in _own_ingredients(cell).items()}
    parts = {**(shared or write_shared(cell)), **own, "engine": _canonical(engine or ENGINE_VERSION)}
    return _digest("{" + ",".join(f'"{name}":{parts[name]}' for name in sorted(parts)) + "}")


def write_shared(cell: Cell) -> dict[str, str]:
    """Return as JSON those of a cell's `ingredients` that all cells of its method on its dataset share."""
    return {name: _canonical(value) for name, value in _shared_ingredients(cell).items()}


def engine_of(cell: Cell) -> int | None:
    """Return the version of the engine with which a cell's key follows from the cell; None if there is none so far."""
    return next((engine for engine in range(ENGINE_VERSION, 0, -1) if cell_key(cell, engine) == cell.key), None)


def ingredients(cell: Cell) -> dict[str, Any]:
    """Return what the key of a cell is made of, beside the engine's version, as JSON-able values."""
    return {**_shared_ingredients(cell), **_own_ingredients(cell)}


def _shared_ingredients(cell: Cell) -> dict[str, Any]:
    made_of = {
        "dataset": {
            "name": cell.dataset_name,
            **cell.dataset.scored(),
            "fingerprint": cell.fingerprint,
        },
        "method": _recipe(cell.method),
        "sources": cell.sources,
        "versions": cell.versions,
    }
    return {name: _with_content(value, cell.files) for name, value in made_of.items()}


def _own_ingredients(cell: Cell) -> dict[str, Any]:
    return {
        "subset": cell.subset,
        "seed": cell.seed,
        "upstream": cell.upstream,
        **({"for_tuning": True} if cell.for_tuning else {}),
        **({"starts": "by test fold"} if Subset.parse(cell.subset).is_cross_validated else {}),
    }


def _recipe(method: Method) -> dict[str, Any]:
    # Whose weights are taken over is told by the key of that cell, which is upstream.
    recipe = method.model_dump(mode="json", include=SCORED, exclude={"adversarial": {"weight": {"like"}}})
    channels = recipe.pop("latent_channels")
    if method.maps in NOISY_MAPS:
        # Its former name stays in the key: with another one, finished cells would be trained again.
        recipe["noise_channels"] = channels
    if not method.is_trained:
        del recipe["refines"]
    given = {key: value for key, value in recipe.items() if value is not None}
    return {**given, "protocol": _protocol(method)}


def _protocol(method: Method) -> dict[str, Any]:
    """Return the keys that change scores; features are for comparing images with images."""
    unscored = UNSCORED | {"features"} if method.maps in SEGMENTING_MAPS else UNSCORED
    return method.protocol.model_dump(mode="json", exclude={**dict.fromkeys(unscored, True), "budget": {"like"}})


def _with_content(value: Any, files: Mapping[str, str]) -> Any:
    """Return the value with every path that stands in `files` replaced by the hash of the file."""
    if isinstance(value, dict):
        return {name: _with_content(inner, files) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_content(inner, files) for inner in value]
    return f"file {files[value]}" if isinstance(value, str) and value in files else value


def cache_key(dataset: DatasetUse, fingerprint: str, source: str, versions: Mapping[str, str]) -> str:
    """Return what identifies the decoded form of a dataset: its component, options, code and content."""
    decoded = dataset.model_dump(mode="json", include={"use", "options"})
    return key_digest({**decoded, "fingerprint": fingerprint, "source": source, "versions": dict(versions)})


def key_digest(content: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that stand for JSON-able content, whatever the order of its keys."""
    return _digest(_canonical(content))


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(canonical: str) -> str:
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class DatasetContent(NamedTuple):
    """The fingerprint of a dataset, and of each split the id and the hash of each image."""

    fingerprint: str
    images: Mapping[str, Sequence[tuple[str, str]]]


def fingerprint(dataset: Dataset) -> str:
    """Return the fingerprint of a dataset; see `read_content`."""
    return read_content(dataset).fingerprint


def read_content(dataset: Dataset) -> DatasetContent:
    """Identify the content of a dataset; its fingerprint changes when a class, an id or a pixel may have changed.

    A split that names its files is identified by its ids and the bytes of the files, any other by its decoded samples.
    File names, folders and times do not count. Raises DataError for a file that is missing or cannot be read.
    """
    splits = {name: _split_content(name, split) for name, split in dataset.splits.items()}
    content = {
        "classes": list(dataset.classes),
        "palette": [[int(value) for value in colour] for colour in dataset.palette],
        "ignore_index": dataset.ignore_index,
        "channels": dataset.channels,
        "splits": splits,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    return DatasetContent(digest, {name: [(one[0], one[1]) for one in samples] for name, samples in splits.items()})


def _split_content(name: str, split: Split) -> list[list[str]]:
    """Return for each sample its id and the hashes of what it is made of."""
    if hasattr(split, "files"):
        return _file_content(name, cast("FileSplit", split))
    samples = (split[index] for index in range(len(split)))
    return [[one.id, sha256_of_array(one.image), sha256_of_array(one.labels)] for one in samples]


def _file_content(name: str, split: FileSplit) -> list[list[str]]:
    try:
        hashes = file_hashes(path for paths in split.files for path in paths)
    except OSError as error:
        raise DataError(f"split {name!r} needs {error.filename}, which cannot be read: {error.strerror}") from error
    return [[sample, *(hashes[path] for path in paths)] for sample, paths in zip(split.ids, split.files, strict=True)]


def source_hash(offer: Offer) -> str:
    """Return 16 hex digits that change with any .py file of the top-level package that defines the component's build.

    A plugin that is a single module counts with its one file; inside a namespace package the first regular package
    counts. A file given with `--plugin` counts as it was read when it was loaded, along with the package that defines
    the build if that is another. Raises PluginError if there is no source file.
    """
    module = _defining_module(offer)
    files: dict[str, bytes] = {}
    if offer.file is None or module.__file__ != str(offer.file):
        files = {name: path.read_bytes() for name, path in _source_files(module).items()}
    if offer.file is not None:
        files[f"--plugin/{offer.file.name}"] = content_of(offer.file)
    if not files:
        raise PluginError(
            f"plugin {offer.plugin!r}: {offer.full_name} is defined in {module.__name__}, which has no source files, "
            "so a change of its code could not be noticed"
        )
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        # Line endings depend on how the package was checked out, not on what it does.
        content = content.replace(b"\r\n", b"\n")
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def required_versions(offer: Offer) -> dict[str, str]:
    """Return the installed version of each distribution in the component's `requires`; ComponentError if one is not."""
    check_requirements(offer)
    return {name: version for name, version in installed_versions(offer).items() if version is not None}


def _defining_module(offer: Offer) -> ModuleType:
    """Return the outermost regular package, or the single module, that defines `build`."""
    parts = _module_name(offer.component.build).split(".")
    for length in range(1, len(parts)):
        name = ".".join(parts[:length])
        module = sys.modules.get(name) or import_module(name)
        if getattr(module, "__file__", None):
            return module
    return sys.modules[".".join(parts)]


def _module_name(build: Any) -> str:
    build = unwrap(build)
    return str(getattr(build, "__module__", None) or type(build).__module__)


def _source_files(module: ModuleType) -> dict[str, Path]:
    """Return the .py files by their path inside the package."""
    if not hasattr(module, "__path__"):
        file = Path(getattr(module, "__file__", None) or "")
        return {file.name: file} if file.suffix == ".py" and file.is_file() else {}
    folders = [Path(folder) for folder in module.__path__]
    return {path.relative_to(folder).as_posix(): path for folder in folders for path in folder.rglob("*.py")}


# A file changed this recently may change again without its times changing, so its hash is not kept.
SETTLING_NANOSECONDS = 2_000_000_000


class FileState(NamedTuple):
    """What of a file changes with its content; archives set the modification time, but neither of the last two."""

    size: int
    modified: int
    changed: int
    inode: int


class FileHash(NamedTuple):
    """The hash of a file, valid as long as its state stays the same."""

    state: FileState
    digest: str


def file_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 in hexadecimal of each file; only files that are new or changed are read.

    Raises OSError for a file that is missing or cannot be read. A cache that cannot be read or written only costs time.
    """
    states = {path: _state_of_file(path) for path in paths}
    if not states:
        return {}
    store = _store_path(list(states))
    known = _read_store(store)
    hashes: dict[Path, FileHash] = {}
    for path, state in states.items():
        kept = known.get(_name_in_store(path))
        if kept and kept.state == state:
            hashes[path] = kept
    changed = [path for path in states if path not in hashes]
    if changed:
        with ThreadPoolExecutor() as pool:
            for path, digest in zip(changed, pool.map(sha256_of_file, changed), strict=True):
                hashes[path] = FileHash(states[path], digest)
        _write_store(store, known | {_name_in_store(path): hashes[path] for path in changed})
    return {path: hashes[path].digest for path in states}


def _state_of_file(path: Path) -> FileState:
    stat = os.stat(path)
    return FileState(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def folder_hash(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of the files directly in a folder; OSError as `file_hashes`."""
    hashes = file_hashes(sorted(path for path in folder.iterdir() if path.is_file()))
    return hashlib.sha256("".join(f"{digest} {path.name}\n" for path, digest in hashes.items()).encode()).hexdigest()


def _store_path(paths: Sequence[Path]) -> Path:
    """Return the file that keeps the hashes of the folder that holds all `paths`."""
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return cache_folder() / "file_hashes" / f"{name}.json"


def _name_in_store(path: Path) -> str:
    """Return the absolute path as a text that JSON takes: one letter a byte, since a path need not be UTF-8."""
    return os.fsencode(os.path.abspath(path)).decode("latin-1")


def _read_store(store: Path) -> dict[str, FileHash]:
    try:
        entries = read_json(store, at_most=None)
        return {path: FileHash(FileState(*map(int, state)), str(digest)) for path, (state, digest) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        return {}


def _write_store(store: Path, hashes: dict[str, FileHash]) -> None:
    trusted_before = time.time_ns() - SETTLING_NANOSECONDS
    settled = {
        path: entry for path, entry in hashes.items() if max(entry.state.modified, entry.state.changed) < trusted_before
    }
    with contextlib.suppress(RecordError):
        write_atomically(store, sealed_json(settled))
