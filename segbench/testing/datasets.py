"""Checks of datasets.

A dataset is opened with its example options, its files at $SEGBENCH_DATA/NAME; where they are not there, its checks are
skipped. Of each split 16 samples, evenly spread, are read; only the search for images that are in two splits reads up
to 1000 of a dataset.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, cast

from segbench.checksum import sha256_of_array
from segbench.contract import Sample
from segbench.engine.data.cache import open_packed, write_packed
from segbench.engine.data.samples import check_arrays, check_labels
from segbench.engine.evaluation.self_test import find_confused_classes, self_test
from segbench.errors import DataError
from segbench.plan.key import file_hashes
from segbench.registry.datasets import dataset_root

from .check import CheckFailed, CheckSkipped, check
from .dataset_facts import open_example, read_in_another_process, sample_ids, sample_order, spread_indices
from .mask_edges import find_interpolated_file, find_invented_classes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from segbench.contract import Dataset, FileSplit, Split
    from segbench.engine.data.cache import PackedSplit
    from segbench.registry import Offer

    from .check import Check

    Index = tuple[str, int]


MOST_NAMED = 3

NOT_STATED = ("", "not stated")

# An image takes some ten milliseconds to decode, so that more would take minutes.
MOST_IMAGES = 1000

THREADS = 4


@check("Return a segbench.Dataset whose parts fit together, as the message says.")
def dataset_opens(offer: Offer) -> None:
    """It is built, and classes, palette, ignore_index, channels and splits fit together."""
    require_files(offer)
    open_example(offer)


@check("Fill in `licence` and `citation` of the Dataset: users need to know what they may do, and whom to cite.")
def licence_and_citation_are_stated(offer: Offer) -> None:
    """Licence and citation say something."""
    dataset = _dataset(offer)
    missing = [name for name in ("licence", "citation") if getattr(dataset, name).strip() in NOT_STATED]
    if missing:
        raise CheckFailed(f"not stated: {' and '.join(missing)}")


@check("Return (H, W) or (H, W, channels) and (H, W) arrays of uint8 or uint16, and say how many channels there are.")
def images_and_labels_are_arrays_that_fit(offer: Offer) -> None:
    """Images are uint8 or uint16 with the declared channels; labels have their size."""
    dataset = _dataset(offer)
    for place in read_some(dataset):
        check_arrays(place.sample, str(place), dataset)


@check("Map what the mask files hold to class ids, and all else to ignore_index.")
def labels_are_classes_or_ignored(offer: Offer) -> None:
    """Every label is a class id or ignore_index."""
    dataset = _dataset(offer)
    for place in read_some(dataset):
        with _skip_if_malformed():
            check_arrays(place.sample, str(place), dataset)
        check_labels(place.sample.labels, str(place), dataset)


@check(
    "Read masks as they are stored; where they must be resized, take nearest neighbours (PIL's resize does not by "
    "default), and no JPEG."
)
def masks_are_never_interpolated(offer: Offer) -> None:
    """No label map has ids at edges that interpolation puts there, and none is a blurred form of its file."""
    dataset = _dataset(offer)
    label_maps = []
    for place in read_some(dataset):
        with _skip_if_malformed():
            check_arrays(place.sample, str(place), dataset)
        file = find_interpolated_file(place.sample, place.files, dataset.ignore_index)
        if file is not None:
            raise CheckFailed(f"{place}: pixels of one value in {file} have different labels")
        label_maps.append(place.sample.labels)
    invented = find_invented_classes(label_maps, dataset.ignore_index)
    if invented:
        named = ", ".join(f"{middle} between {one} and {other}" for one, middle, other in invented[:MOST_NAMED])
        raise CheckFailed(f"most edges between classes lead through a thin line of a class between them: {named}")


@check("Give every sample of a split an id of its own, a text, the same in `ids` as in the sample.")
def ids_are_unique(offer: Offer) -> None:
    """No id occurs twice in a split, and a sample has the id that its split's `ids` states."""
    dataset = _dataset(offer)
    for name, split in dataset.splits.items():
        twice = [one for one, count in Counter(sample_ids(split)).items() if count > 1]
        if twice:
            raise CheckFailed(f"split {name!r}: {len(twice)} ids occur more than once, such as {twice[0]!r}")
    for place in read_some(dataset):
        ids = getattr(dataset.splits[place.split], "ids", None)
        if ids is not None and ids[place.number] != place.sample.id:
            raise CheckFailed(f"{place} is {ids[place.number]!r} in the split's ids")


@check("Put every sample into one split alone.")
def splits_share_no_id(offer: Offer) -> None:
    """No id is in two splits."""
    ids = {name: set(sample_ids(split)) for name, split in _dataset(offer).splits.items()}
    for first, second in combinations(ids, 2):
        shared = sorted(ids[first] & ids[second])
        if shared:
            raise CheckFailed(f"{len(shared)} ids are in {first} and in {second}: {', '.join(shared[:MOST_NAMED])}")


@check("Remove the copies from one of the splits: what is trained on must not be scored.")
def splits_share_no_image(offer: Offer) -> None:
    """No image is in two splits, pixel by pixel."""
    contents = image_contents(_dataset(offer))
    for first, second in combinations(contents, 2):
        shared = sorted(contents[first].keys() & contents[second].keys())
        if shared:
            named = ", ".join(f"{contents[first][one]} = {contents[second][one]}" for one in shared[:MOST_NAMED])
            raise CheckFailed(f"{len(shared)} images are in {first} and in {second}: {named}")


@check("Look at class ids and ignore_index: `segbench prepare` scores the truth of every image.")
def truth_scores_one(offer: Offer) -> None:
    """In every split some pixels are labelled, and the truth scores 1 against itself."""
    dataset = _dataset(offer)
    for name in dataset.splits:
        with TemporaryDirectory() as folder:
            with _skip_if_malformed():
                packed = packed_sample(dataset, name, Path(folder))
            if self_test(f"dataset {offer.full_name}", packed) is None:
                raise CheckFailed(f"split {name!r}: no pixel is labelled, so that nothing can be scored")


@check("Give every class a colour of its own.", required=False)
def palette_tells_classes_apart(offer: Offer) -> None:
    """Every palette colour decodes to its own class: generators of colours need it, and so do pictures."""
    confused = find_confused_classes(_dataset(offer))
    if confused:
        pairs = ", ".join(f"{one!r} and {other!r}" for one, other in confused[:MOST_NAMED])
        raise CheckFailed(f"{len(confused)} classes have the colour of another: {pairs}")


@check("Sort what comes from folders and sets, draw nothing at random, and let a sample depend on its index alone.")
def order_is_the_same_every_time(offer: Offer) -> None:
    """Opened again, here and in another process, it has the same samples in the same order."""
    once, again = sample_order(_dataset(offer)), sample_order(_dataset(offer))
    _check_order(once, again, "opened twice")
    facts = read_in_another_process(offer)
    if "order" not in facts:
        raise CheckSkipped(f"in another process it imports torch, see {torch_is_not_imported.name}")
    _check_order(once, facts["order"], "opened in another process")


@check("Import numpy and Pillow inside `build` or in modules that it imports, and torch nowhere.")
def torch_is_not_imported(offer: Offer) -> None:
    """Opening the dataset and reading samples imports no torch: planning a benchmark needs neither."""
    _dataset(offer)
    importer = read_in_another_process(offer).get("torch")
    if importer is not None:
        raise CheckFailed(f"{importer} imports torch when the dataset is opened and some samples are read")


def _dataset(offer: Offer) -> Dataset:
    """Open the dataset; CheckSkipped if it cannot be."""
    require_files(offer)
    try:
        return open_example(offer)
    except Exception as error:
        raise CheckSkipped(f"it cannot be opened, see {dataset_opens.name}") from error


@contextmanager
def _skip_if_malformed() -> Iterator[None]:
    """Skip a check where samples are malformed, which another check reports."""
    try:
        yield
    except DataError as error:
        raise CheckSkipped(f"the samples are malformed: {error}") from error


def _check_order(expected: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]], when: str) -> None:
    for name in expected:
        if list(found.get(name, ())) != list(expected[name]):
            raise CheckFailed(f"{when}, split {name!r} has other samples, or another order")


# The samples that are read.


class Place(NamedTuple):
    """A sample and its place in the dataset; `files` are those that it is read from, if its split names them."""

    split: str
    number: int
    sample: Sample
    files: Sequence[Path]

    def __str__(self) -> str:
        return f"{self.split} sample {self.sample.id!r}"


class SomeSamples:
    """Some samples of a split, evenly spread, as a split."""

    def __init__(self, split: Split) -> None:
        self._split, self._indices = split, spread_indices(split)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int, /) -> Sample:
        return self._split[self._indices[index]]


def require_files(offer: Offer) -> None:
    """Raise CheckSkipped, saying where a dataset's folder is looked for, if it is not there."""
    try:
        root = dataset_root(offer, None)
    except DataError as error:
        raise CheckSkipped(f"its files are not here: {error}") from error
    if root is not None and not root.is_dir():
        raise CheckSkipped(f"its files are not here: there is no folder {root} ($SEGBENCH_DATA/{root.name})")


def read_some(dataset: Dataset) -> Iterator[Place]:
    """Read some samples of each split, evenly spread."""
    for name, split in dataset.splits.items():
        files = getattr(split, "files", None)
        for index in spread_indices(split):
            yield Place(name, index, Sample(*split[index]), files[index] if files else ())


def packed_sample(dataset: Dataset, name: str, folder: Path) -> PackedSplit:
    """Decode some samples of a split into an empty folder; DataError for one that is malformed."""
    write_packed(replace(dataset, splits={name: SomeSamples(dataset.splits[name])}), name, folder)
    packed = open_packed(folder)
    assert packed is not None, "it has just been written"
    return packed


def image_contents(dataset: Dataset) -> dict[str, dict[str, str]]:
    """Return for each split the ids of its samples by the content of their images, as far as it can be in two splits.

    Of a dataset of more than 1000 images, those are compared that are read from files with the same bytes as files of
    another split, or, where it names no files, 1000 that are evenly spread.
    """
    contents: dict[str, dict[str, str]] = {name: {} for name in dataset.splits}
    indices = _suspects(dataset)
    threads = THREADS if _names_files(dataset) else 1
    with ThreadPoolExecutor(threads) as pool:
        for (name, _), (content, sample) in zip(indices, pool.map(partial(_content, dataset), indices), strict=True):
            contents[name][content] = sample
    return contents


def _suspects(dataset: Dataset) -> list[Index]:
    everything = [(name, index) for name, split in dataset.splits.items() for index in range(len(split))]
    if len(everything) > MOST_IMAGES and _names_files(dataset):
        everything = _sharing_bytes(dataset, everything)
    return [everything[place] for place in spread_indices(everything, MOST_IMAGES)]


def _names_files(dataset: Dataset) -> bool:
    return all(hasattr(split, "files") for split in dataset.splits.values())


def _sharing_bytes(dataset: Dataset, indices: Sequence[Index]) -> list[Index]:
    """Return the samples that are read from a file with the bytes of a file of another split."""
    files = {(name, index): cast("FileSplit", dataset.splits[name]).files[index] for name, index in indices}
    hashes = file_hashes(path for paths in files.values() for path in paths)
    splits: dict[str, set[str]] = {}
    for (name, _), paths in files.items():
        for path in paths:
            splits.setdefault(hashes[path], set()).add(name)
    return [index for index, paths in files.items() if any(len(splits[hashes[path]]) > 1 for path in paths)]


def _content(dataset: Dataset, index: Index) -> tuple[str, str]:
    name, place = index
    sample = Sample(*dataset.splits[name][place])
    return sha256_of_array(sample.image), sample.id


CHECKS: tuple[Check, ...] = (
    dataset_opens,
    licence_and_citation_are_stated,
    images_and_labels_are_arrays_that_fit,
    labels_are_classes_or_ignored,
    masks_are_never_interpolated,
    ids_are_unique,
    splits_share_no_id,
    splits_share_no_image,
    truth_scores_one,
    palette_tells_classes_apart,
    order_is_the_same_every_time,
    torch_is_not_imported,
)
