"""A benchmark file becomes a benchmark: read, changed by the command line, checked, resolved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import SpecError

from .compare import kept_claims, with_placebos, written_claims
from .components import dataset_use
from .methods import resolved_methods
from .names import check_name, named_entries
from .node import Node, Place, check_keys
from .packaged import find_benchmark
from .protocol_node import read_protocol
from .reader import read_file
from .recipe import LARGEST_SEED, Benchmark
from .references import Reference
from .settings import apply_settings
from .trials import with_trials
from .tune import read_tune
from .written import written_methods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.registry import Registry

    from .recipe import DatasetUse

NEEDED_KEYS = ("name", "datasets", "protocol", "seeds", "methods")
BENCHMARK_KEYS = (*NEEDED_KEYS, "compare", "tune")


def load_benchmark(
    name_or_path: str,
    registry: Registry,
    *,
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
) -> Benchmark:
    """Return the benchmark that a packaged name or a path stands for.

    `sets` are PATH=VALUE settings laid over the file first (`segbench.spec.settings`), `only` the names of the methods
    (placebos among them, such as "unet+critic~frozen") to keep together with the upstream methods that they need and
    the trials of tuned ones, `seeds` take the place of the file's. A claim is kept with its methods. Raises SpecError
    with file, line and dotted path for whatever is wrong.

        load_benchmark("quickstart", load_registry(), sets=["protocol.budget.epochs=1"], only=["unet"], seeds=[0])
    """
    path = find_benchmark(name_or_path)
    root = apply_settings(read_file(path), sets)
    if seeds is not None:
        root = _with_seeds(root, seeds)
    entries = _entries(root)
    _check_protocol(entries["protocol"])
    listed_seeds = _seeds(entries["seeds"])
    listed = written_methods(entries["methods"])
    claims = written_claims(entries.get("compare"), listed)
    tune = read_tune(entries.get("tune"), listed, listed_seeds)
    written = with_placebos(listed, claims)
    chosen = [Reference(name, Place(f"--only {name}", Path.cwd())) for name in only]
    methods = resolved_methods(written, entries["protocol"], registry, chosen)
    return Benchmark(
        name=_name(entries["name"]),
        source=str(path),
        datasets=_datasets(entries["datasets"], registry),
        seeds=listed_seeds,
        methods=with_trials(methods, written, tune, entries["protocol"], registry) if tune else methods,
        compare=kept_claims(claims, methods),
        tune=tune,
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of `--seeds 0,1,2`; SpecError if they are no whole numbers."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise SpecError(f"--seeds {text}: write whole numbers with commas between, such as 0,1,2") from error


def _entries(root: Node) -> dict[str, Node]:
    entries = check_keys(root, "must be a mapping", BENCHMARK_KEYS)
    for key in NEEDED_KEYS:
        if key not in entries or entries[key].value is None:
            place = entries[key].place if key in entries else root.place.entry(key)
            raise place.error(f"is missing; a benchmark file needs {', '.join(NEEDED_KEYS)}")
    return entries


def _check_protocol(node: Node) -> None:
    """Refuse what is wrong with the protocol before any method is looked at."""
    if read_protocol(node).budget.like is not None:
        like = node.mapping("must be a mapping")["budget"].mapping("must be a mapping")["like"]
        raise like.error(
            f"all methods would train as long as {like.value!r}, and so would that one itself; give epochs, steps or "
            "seconds here, and like: in the protocol of the methods that it is meant for"
        )


def _name(node: Node) -> str:
    name = node.text("must be a name")
    check_name(name, node.place)
    return name


def _datasets(node: Node, registry: Registry) -> dict[str, DatasetUse]:
    return {name: dataset_use(entry, registry) for name, entry in named_entries(node, "dataset").items()}


def _with_seeds(root: Node, seeds: Sequence[int]) -> Node:
    place = Place(f"--seeds {','.join(map(str, seeds))}", Path.cwd()).entry("seeds")
    items = [Node(seed, place.entry(index)) for index, seed in enumerate(seeds)]
    return Node({**root.mapping("must be a mapping"), "seeds": Node(list(items), place)}, root.place)


def _seeds(node: Node) -> tuple[int, ...]:
    seeds: list[int] = []
    for item in node.sequence("must be a list of whole numbers, such as [0, 1, 2]"):
        seed = item.value
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED:
            raise item.error(f"must be a whole number from 0 to {LARGEST_SEED}, not {item.kind()}")
        if seed in seeds:
            raise item.error(f"seed {seed} is there twice")
        seeds.append(seed)
    if not seeds:
        raise node.error("there is no seed; a benchmark needs at least one, such as [0]")
    return tuple(seeds)
