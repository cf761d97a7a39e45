"""Load a benchmark file: find it by name or path, apply the command line's changes, check and resolve it."""

from __future__ import annotations

import os
import shlex
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import SpecError, alternatives, list_some, nearest

from .attribution import ATTRIBUTION_KEYS, read_attribution
from .claims import add_doses, add_placebos, claim_doses, read_claims, select_claims
from .components import resolve_dataset
from .folds import settle_folds
from .inheritance import apply_settings, read_methods, rename_former_keys
from .methods import resolve_methods
from .protocol import read_protocol
from .recipe import LARGEST_SEED, Benchmark, Origin
from .tuning import add_trials, read_tuning
from .validation import Reference, check_name, read_named_entries
from .yaml import Node, Place, check_keys, read_comment, read_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.registry import Registry

    from .protocol import TrainingProtocol
    from .recipe import DatasetUse, Method, Tune


SUFFIXES = (".yaml", ".yml")
NEEDED_KEYS = ("name", "datasets", "protocol", "seeds", "methods")
BENCHMARK_KEYS = (*NEEDED_KEYS, "compare", "tune", *ATTRIBUTION_KEYS)


def load_benchmark(
    name_or_path: str,
    registry: Registry,
    *,
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
) -> Benchmark:
    """Return the benchmark that a packaged name or a path stands for.

    `sets` are PATH=VALUE settings laid over the file first (`segbench.config.inheritance`). `only` names the methods
    to keep (placebos among them, such as "unet+critic~frozen"), together with the upstream methods that they need and
    the trials of tuned ones. `seeds` take the place of the file's. A claim is kept with its methods. Raises SpecError
    with file, line and dotted path for whatever is wrong.

        load_benchmark("quickstart", load_registry(), sets=["protocol.budget.epochs=1"], only=["unet"], seeds=[0])
    """
    path = find_benchmark(name_or_path)
    root = apply_settings(read_file(path), sets)
    if seeds is not None:
        root = _with_seeds(root, seeds)
    entries = _read_entries(root)
    protocol = _check_protocol(entries["protocol"])
    listed_seeds = _read_seeds(entries["seeds"])
    own, notices = rename_former_keys(entries["methods"])
    listed = read_methods(own)
    claims = read_claims(entries.get("compare"), listed)
    tune = read_tuning(entries.get("tune"), listed, listed_seeds)
    dosed = add_doses(listed, claims)
    claims = claim_doses(claims, dosed)
    written = add_placebos(dosed, claims)
    chosen = [Reference(name, Place(f"--only {name}", Path.cwd())) for name in only]
    methods = resolve_methods(written, entries["protocol"], registry, chosen)
    if tune:
        methods = add_trials(methods, written, tune, entries["protocol"], registry)
    return Benchmark(
        name=_read_name(entries["name"]),
        source=str(path),
        datasets=_read_datasets(entries["datasets"], registry, methods, protocol, tune),
        seeds=listed_seeds,
        methods=methods,
        compare=select_claims(claims, methods),
        tune=tune,
        attribution=read_attribution(entries, root.place),
        origin=Origin(given=name_or_path, sets=tuple(sets), comment=read_comment(path)),
        notices=notices,
    )


def _read_entries(root: Node) -> dict[str, Node]:
    entries = check_keys(root, "must be a mapping", BENCHMARK_KEYS)
    for key in NEEDED_KEYS:
        if key not in entries or entries[key].value is None:
            place = entries[key].place if key in entries else root.place.entry(key)
            raise place.error(f"is missing; a benchmark file needs {', '.join(NEEDED_KEYS)}")
    return entries


def _check_protocol(node: Node) -> TrainingProtocol:
    """Return the protocol, refused if it is wrong, before any method is looked at."""
    protocol = read_protocol(node)
    if protocol.budget.like is not None:
        like = node.mapping()["budget"].mapping()["like"]
        raise like.error(
            f"all methods would train as long as {like.value!r}, and so would that one itself; give epochs, steps or "
            "seconds here, and like: in the protocol of the methods that it is meant for"
        )
    return protocol


def _read_name(node: Node) -> str:
    name = node.text("must be a name")
    check_name(name, node.place)
    return name


def _read_datasets(
    node: Node, registry: Registry, methods: Mapping[str, Method], protocol: TrainingProtocol, tune: Tune | None
) -> dict[str, DatasetUse]:
    entries = read_named_entries(node, "dataset")
    datasets = {name: resolve_dataset(entry, registry) for name, entry in entries.items()}
    return settle_folds(datasets, entries, methods, protocol, tune)


def _with_seeds(root: Node, seeds: Sequence[int]) -> Node:
    place = Place(f"--seeds {','.join(map(str, seeds))}", Path.cwd()).entry("seeds")
    items = [Node(seed, place.entry(index)) for index, seed in enumerate(seeds)]
    return Node({**root.mapping(), "seeds": Node(list(items), place)}, root.place)


def _read_seeds(node: Node) -> tuple[int, ...]:
    seeds: list[int] = []
    for item in node.sequence("must be a list of whole numbers, such as [0, 1, 2]"):
        seed = item.value
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED:
            raise item.error(f"must be a whole number from 0 to {LARGEST_SEED}, not {item.kind()}")
        if seed in seeds:
            raise item.error(f"seed {seed} is listed twice")
        seeds.append(seed)
    if not seeds:
        raise node.error("there is no seed; a benchmark needs at least one, such as [0]")
    return tuple(seeds)


def packaged_benchmarks() -> list[str]:
    """Return the names of the benchmarks that come with segbench."""
    return sorted(_find_packaged())


def find_benchmark(name_or_path: str) -> Path:
    """Return the file of a packaged benchmark, or the path itself if it is one.

    What ends in .yaml or .yml, or holds a path separator, is a path; anything else is a name. Raises SpecError if
    there is no such file or name.
    """
    path = Path(name_or_path).expanduser()
    if path.suffix in SUFFIXES or any(mark in name_or_path for mark in (os.sep, "/")):
        return _check_is_file(path)
    packaged = _find_packaged()
    if name_or_path in packaged:
        return packaged[name_or_path]
    if path.is_file():
        return path
    raise SpecError(_explain_unknown(name_or_path, sorted(packaged))).among(sorted(packaged))


def _find_packaged() -> dict[str, Path]:
    found = [Path(str(entry)) for entry in files("segbench.benchmarks").iterdir()]
    return {path.stem: path for path in found if path.suffix in SUFFIXES}


def _check_is_file(path: Path) -> Path:
    if path.is_dir():
        raise SpecError(f"{path} is a folder, not a benchmark file{_list_files(path)}{_offer_init(path)}")
    if not path.exists():
        raise SpecError(f"there is no benchmark file {path}{_list_files(path.parent, path.name)}")
    return path


def _offer_init(folder: Path) -> str:
    if any(path.suffix in SUFFIXES for path in folder.iterdir()):
        return ""
    return f"; of a folder of images and masks `segbench init {shlex.quote(str(folder))}` writes one"


def _list_files(folder: Path, name: str = "") -> str:
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    names = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)
    listed = f"{folder} there are {list_some(names)}" if names else f"{folder} there is no .yaml file"
    hint = nearest(name, names)
    return f".{hint} In {listed}" if hint else f"; in {listed}"


def _explain_unknown(name: str, packaged: list[str]) -> str:
    here = [name + suffix for suffix in SUFFIXES if Path(name + suffix).is_file()]
    hint = f" If you mean the file {here[0]}, write it with its ending." if here else ""
    hint = hint or (f" It is a folder here{_offer_init(Path(name))}." if Path(name).is_dir() else "")
    return (
        f"there is no packaged benchmark {name!r}.{hint}{alternatives(name, packaged)} "
        "A benchmark file of your own is given by its path."
    )
