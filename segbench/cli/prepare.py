"""`segbench prepare`: fetch a dataset where that is possible, check every sample, and decode it once."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from .completion import complete_dataset
from .options import DatasetOptions, Json, Root, parse_options
from .output import columns, print_content, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from segbench.config.recipe import DatasetUse
    from segbench.contract import Dataset, Sample, Split
    from segbench.engine.data.cache import PackedSplit
    from segbench.plan.data import Unread
    from segbench.registry import Offer, Registry


# A smaller split is decoded before anybody could read the progress.
WORTH_PROGRESS = 100

# 16-bit images whose values need no more bits than this are mistaken for such of the whole range.
MOST_SPARE_BITS = 14

# So many skipped files are named.
MOST_SKIPPED_NAMED = 3


class Prepared(NamedTuple):
    """A dataset whose splits are cached and passed the self-test; `guesses` are the mIoUs of class 0 everywhere."""

    offer: Offer
    root: Path | None
    dataset: Dataset
    cache_key: str
    splits: dict[str, PackedSplit]
    guesses: dict[str, float | None]


def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="Full name (data/camvid), short name, or a benchmark FILE.yaml: all its datasets.",
            autocompletion=complete_dataset,
        ),
    ],
    root: Root = None,
    option: DatasetOptions = None,
    json: Json = False,
) -> None:
    """Download a dataset if its files are missing, check every sample, fill the cache, and show what is in it.

    Its truth is then scored against itself, as predictions will be, and must score exactly 1.
    """
    from segbench.config.benchmark import SUFFIXES
    from segbench.registry import load_registry
    from segbench.registry.output import send_output_to_stderr

    registry = load_registry()
    is_file = dataset.endswith(SUFFIXES)
    with send_output_to_stderr():
        if is_file:
            uses = _read_uses(dataset, root, option, registry)
        else:
            uses = {dataset: _make_use(_find(dataset, registry), root, parse_options(option or []))}
        contents = {name: _describe(_prepare(registry.find("dataset", use.use), use)) for name, use in uses.items()}
    if is_file:
        print_content({"datasets": contents}, json, lambda _: "\n\n".join(map(_as_text, contents.values())))
    else:
        print_content(contents[dataset], json, _as_text)


def _read_uses(file: str, root: str | None, option: list[str] | None, registry: Registry) -> dict[str, DatasetUse]:
    """Return the datasets of a benchmark file by their names in it."""
    from segbench.config.benchmark import load_benchmark

    if root is not None or option:
        raise typer.BadParameter(f"{file} says how its datasets are read; leave out --root and --option")
    return load_benchmark(file, registry).datasets


def _find(dataset: str, registry: Registry) -> Offer:
    """Return a dataset by its name; ComponentError that says how a folder is given, if it is one."""
    from segbench.errors import ComponentError

    try:
        return registry.find("dataset", dataset)
    except ComponentError as error:
        if not Path(dataset).is_dir():
            raise
        way = f"it is a folder here: segbench prepare data/folder --root {shlex.quote(dataset)}"
        raise ComponentError(f"unknown dataset {dataset!r}; {way}").among(error.allowed) from error


def _make_use(offer: Offer, root: str | None, options: Mapping[str, Any]) -> DatasetUse:
    from segbench.config.recipe import DatasetUse
    from segbench.registry.options import coerce_options

    return DatasetUse(use=offer.full_name, options=coerce_options(offer, options), root=root)


def _prepare(offer: Offer, use: DatasetUse) -> Prepared:
    from segbench.engine.data.cache import pack
    from segbench.engine.evaluation.self_test import self_test
    from segbench.plan.key import cache_key, fingerprint, required_versions, source_hash
    from segbench.registry.datasets import dataset_root, open_dataset

    folder = dataset_root(offer, use.root)
    if folder is not None:
        _fetch_if_missing(offer, folder, use.options)
    dataset = open_dataset(offer, use.root, use.options)
    key = cache_key(use, fingerprint(dataset), source_hash(offer), required_versions(offer))
    splits = {}
    for name, split in dataset.splits.items():
        with show_progress(name, len(split)) as advance:
            watched = replace(dataset, splits={name: WatchedSplit(split, advance)})
            splits[name] = pack(watched, name, key)
    guesses = {name: self_test(f"dataset {offer.full_name}", packed) for name, packed in splits.items()}
    return Prepared(offer, folder, dataset, key, splits, guesses)


def _fetch_if_missing(offer: Offer, root: Path, options: Mapping[str, Any]) -> None:
    """Download into a folder beside `root` and rename it at the end, so that a root that exists is complete."""
    download = offer.component.download
    if download is None or not _is_missing(root):
        return
    partial = root.with_name(f"{root.name}.part")
    partial.mkdir(parents=True, exist_ok=True)
    say(f"{root} is missing or empty: fetching {offer.full_name}", err=True)
    try:
        download(partial, **_select_options(download, options))
    except BaseException:
        with contextlib.suppress(OSError):  # what has arrived stays for the next attempt
            partial.rmdir()
        raise
    if root.exists():
        root.rmdir()
    partial.rename(root)


def _select_options(download: Callable[..., None], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a download asks for, as keyword-only parameters of their names."""
    import inspect

    parameters = inspect.signature(download).parameters.values()
    asked = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    return {name: options[name] for name in asked if name in options}


def _is_missing(root: Path) -> bool:
    return not root.exists() or (root.is_dir() and not any(root.iterdir()))


class WatchedSplit:
    """A split that reports every sample that is read."""

    def __init__(self, split: Split, advance: Callable[[], None]) -> None:
        self._split, self._advance = split, advance

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int, /) -> Sample:
        sample = self._split[index]
        self._advance()
        return sample

    def __getattr__(self, name: str) -> Any:
        return getattr(self._split, name)


@contextlib.contextmanager
def show_progress(split: str, images: int) -> Iterator[Callable[[], None]]:
    """Show on stderr how many images of a split are decoded: a bar on a terminal, else a line; nothing if few."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    console = Console(stderr=True)
    if images >= WORTH_PROGRESS and not console.is_terminal:
        say(f"{split}: checking {images} images", err=True)
    shown = images >= WORTH_PROGRESS and console.is_terminal
    bar = Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), console=console, transient=True, disable=not shown
    )
    with bar:
        task = bar.add_task(split, total=images)
        yield lambda: bar.advance(task)


def _describe(prepared: Prepared) -> dict[str, Any]:
    """Return what is known of the prepared dataset, ready for JSON."""
    from segbench.plan.data import find_unread, usage_warnings
    from segbench.plan.machine import cache_folder

    dataset, splits = prepared.dataset, prepared.splits
    unread = find_unread(dataset)
    return {
        "name": prepared.offer.full_name,
        "root": None if prepared.root is None else str(prepared.root),
        "cache": str(cache_folder() / "packed" / prepared.cache_key),
        "cache_bytes": sum(packed.nbytes for packed in splits.values()),
        "channels": dataset.channels,
        "classes": [*dataset.classes],
        "licence": dataset.licence,
        "splits": {name: _describe_split(packed) for name, packed in splits.items()},
        "skipped": _describe_unread(unread),
        "self_test": {"class_0_miou": prepared.guesses},
        "warnings": [
            *usage_warnings(dataset, unread),
            *(f"{name}: {remark}" for name, packed in splits.items() for remark in packed.contents.remarks),
            *_warn_of_dark_images(prepared.offer, splits),
            *_warn_of_absent_classes(dataset, splits),
            *_warn_of_confused_colours(dataset),
            *_warn_of_identical_images(splits),
        ],
    }


def _describe_split(packed: PackedSplit) -> dict[str, Any]:
    pixels = packed.class_pixels()
    labelled = int(pixels.sum())
    areas = packed.sizes.prod(axis=1)
    total = int(areas.sum())
    return {
        "images": len(packed),
        "dtype": str(packed.image_dtype),
        "values": [packed.contents.lowest, packed.contents.highest],
        "files": [one.model_dump() for one in packed.contents.files],
        "smallest": packed.sizes[areas.argmin()].tolist(),
        "largest": packed.sizes[areas.argmax()].tolist(),
        "class_percent": [100 * count / max(labelled, 1) for count in pixels.tolist()],
        "ignored_percent": 100 * (total - labelled) / total,
    }


def _warn_of_absent_classes(dataset: Dataset, splits: Mapping[str, PackedSplit]) -> list[str]:
    from segbench.engine.data.cache import absent_classes

    if "train" not in splits:
        return ["there is no split train, so nothing can be trained on this dataset"]
    return [
        f"class {name!r} never occurs in train, so it cannot be learnt"
        for name in absent_classes(splits["train"], dataset.classes)
    ]


def _warn_of_confused_colours(dataset: Dataset) -> list[str]:
    from segbench.engine.evaluation.self_test import find_confused_classes

    return [
        f"the colour of class {name!r} decodes to {other!r}, so generators of palette colours cannot tell them apart"
        for name, other in find_confused_classes(dataset)
    ]


def _warn_of_identical_images(splits: Mapping[str, PackedSplit]) -> list[str]:
    """Return a warning for each pair of splits that share images, pixel by pixel."""
    from segbench.plan.data import describe_equal_images, equal_images

    digests = {name: packed.image_digests for name, packed in splits.items()}
    found = [(one, other, equal_images(digests[one], digests[other])) for one, other in combinations(splits, 2)]
    return [describe_equal_images(one, other, pairs) for one, other, pairs in found if pairs]


def _warn_of_dark_images(offer: Offer, splits: Mapping[str, PackedSplit]) -> list[str]:
    """Return a warning if all 16-bit images hold values of at most 14 bits."""
    highest = max(packed.contents.highest for packed in splits.values())
    bits = highest.bit_length()
    if bits > MOST_SPARE_BITS or any(packed.image_dtype != "uint16" for packed in splits.values()):
        return []
    may_be_set = any(option.name == "bits" for option in offer.signature.options)
    cure = f"; if they hold {bits} bits, set bits: {bits}" if may_be_set else ""
    return [f"images have 16 bits, but no value above {highest} of 65535, so a network sees them nearly black{cure}"]


def _describe_unread(unread: Unread) -> dict[str, list[str]]:
    found = {
        "left by other systems": unread.left,
        "image files of no split": unread.unused,
        "other files": unread.other,
    }
    return {what: [path.name for path in paths] for what, paths in found.items() if paths}


def _as_text(content: dict[str, Any]) -> str:
    splits = content["splits"]
    images = sum(split["images"] for split in splits.values())
    facts = [
        *([("root", content["root"])] if content["root"] else []),
        ("cache", f"{content['cache']} ({content['cache_bytes'] / 1e6:.1f} MB)"),
        ("licence", content["licence"]),
        *(("skipped", _skipped_text(what, names)) for what, names in content["skipped"].items()),
    ]
    return "\n".join(
        [
            f"{content['name']}: {images} images, {content['channels']} channels, {len(content['classes'])} classes",
            columns(facts, indent="  "),
            columns([("SPLIT", "IMAGES", "SIZE", "DTYPE", "VALUES"), *(_split_row(*item) for item in splits.items())]),
            *_file_table(splits),
            columns(_class_rows(content["classes"], splits)),
            _self_test_line(content),
            *(f"warning: {warning}" for warning in content["warnings"]),
        ]
    )


def _self_test_line(content: dict[str, Any]) -> str:
    guesses = content["self_test"]["class_0_miou"]
    known = [f"{100 * miou:.2f} % ({split})" for split, miou in guesses.items() if miou is not None]
    if not known:
        return "self-test: no pixel is labelled, so nothing can be scored"
    guess = f"{content['classes'][0]!r} everywhere an mIoU of {', '.join(known)}"
    return f"self-test passed: truth against itself scores 1, {guess}"


def _skipped_text(what: str, names: list[str]) -> str:
    more = ", ..." if len(names) > MOST_SKIPPED_NAMED else ""
    return f"{len(names)} {what} ({', '.join(names[:MOST_SKIPPED_NAMED])}{more})"


def _file_table(splits: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return how many files there are of each format and depth; nothing of a dataset that does not tell."""
    rows = [
        (name, f"{one['kind']}s", one["format"], one["depth"], str(one["count"]))
        for name, split in splits.items()
        for one in split["files"]
    ]
    return [columns([("SPLIT", "FILES", "FORMAT", "DEPTH", "NUMBER"), *rows])] if rows else []


def _split_row(name: str, split: dict[str, Any]) -> tuple[str, ...]:
    smallest, largest = (f"{width}x{height}" for height, width in (split["smallest"], split["largest"]))
    size = smallest if smallest == largest else f"{smallest} to {largest}"
    return name, str(split["images"]), size, split["dtype"], "{} to {}".format(*split["values"])


def _class_rows(classes: list[str], splits: Mapping[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return how often each class occurs, in percent of the labelled pixels, and how many pixels are ignored."""
    return [
        ("CLASS", *(f"{split} %" for split in splits)),
        *(
            (name, *(f"{split['class_percent'][index]:.2f}" for split in splits.values()))
            for index, name in enumerate(classes)
        ),
        ("(ignored)", *(f"{split['ignored_percent']:.2f}" for split in splits.values())),
    ]
