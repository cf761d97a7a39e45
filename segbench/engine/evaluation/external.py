"""Score label maps that another tool has made, and write the record."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from segbench.engine.data.cache import pack
from segbench.engine.data.samples import clusters_of
from segbench.engine.data.user_files import find_label_maps, read_label_map
from segbench.engine.device import environment
from segbench.plan.data import equal_images
from segbench.plan.key import cache_key, key_digest, read_content, required_versions, source_hash
from segbench.registry.datasets import open_dataset
from segbench.stats.definitions import definitions
from segbench.stats.scores import per_class, scores
from segbench.store.counts import Counts, write_counts
from segbench.store.plugin_copies import keep_copies, plugin_files
from segbench.store.record import Evaluated, Record

from .label_counts import USUAL_BOUNDARIES, Rules, concatenate, label_counts
from .small_objects import find_small_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from segbench.config.protocol import Boundaries
    from segbench.config.recipe import DatasetUse
    from segbench.contract import Dataset
    from segbench.engine.data.cache import PackedSplit
    from segbench.registry import Registry
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import PluginFile


class Entry(NamedTuple):
    """The names under which scores are recorded: dataset, split and method; and the seed."""

    dataset: str
    split: str
    method: str
    seed: int


def score_predictions(
    folder: Path,
    use: DatasetUse,
    entry: Entry,
    registry: Registry,
    results: ResultsFolder,
    boundaries: Boundaries = USUAL_BOUNDARIES,
) -> Record:
    """Count a folder of label maps against the truth of a split, and write record and counts.

    The key covers the predicted classes, the data, the widths of `boundaries` and the entry, so scoring the same twice
    leaves one record. Raises DataError for data that is not available and for label maps that are missing,
    superfluous or malformed (`find_label_maps`, `read_label_map`), RecordError for a results folder that cannot be
    written.
    """
    offer = registry.find("dataset", use.use)
    dataset = open_dataset(offer, use.root, use.options)
    content = read_content(dataset)
    mark = content.fingerprint
    packed = pack(dataset, entry.split, cache_key(use, mark, source_hash(offer), required_versions(offer)))
    counts, digest = count_predictions(folder, packed, dataset, boundaries)
    counts = replace(counts, clusters=clusters_of(dataset, packed.ids))
    spec = {
        "scored": True,
        "dataset": {**use.scored(), "fingerprint": mark},
        "split": entry.split,
        "predictions": digest,
        "boundaries": boundaries.model_dump(mode="json"),
    }
    record = build_record(counts, dataset.classes, spec, entry, results.benchmark, plugin_files([use.use]))
    if record.evaluated and "train" in dataset.splits and entry.split != "train":
        shared = len(equal_images(content.images["train"], content.images[entry.split]))
        record = record.model_copy(update={"evaluated": record.evaluated.model_copy(update={"also_in_train": shared})})
    keep_copies([use.use], results.cell_folder(record.key))
    write_counts(results.cell_folder(record.key), counts)
    results.write(record)
    return record


def count_predictions(
    folder: Path, packed: PackedSplit, dataset: Dataset, boundaries: Boundaries
) -> tuple[Counts, str]:
    """Return all counts that label maps allow, and a hash of all ids and predicted classes."""
    digest, rules = hashlib.sha256(), Rules(packed.num_classes, packed.ignore_index, boundaries)
    parts = []
    for index, path in enumerate(find_label_maps(folder, packed.ids)):
        truth = packed.labels(index)
        prediction = read_label_map(path, truth, dataset.palette, packed.ignore_index, dataset.reading)
        digest.update(f"{packed.ids[index]} {prediction.shape} ".encode())
        digest.update(prediction.astype("<u2").tobytes())
        counted = np.where(truth == packed.ignore_index, 0, prediction)
        pair = (torch.from_numpy(counted)[None], torch.from_numpy(truth.astype(np.int64))[None])
        parts.append(label_counts(*pair, find_small_objects(packed, [index], pair[0].device), rules))
    return Counts(ids=packed.ids, split=packed.split, sizes=packed.sizes, **concatenate(parts)), digest.hexdigest()


def build_record(
    counts: Counts,
    classes: Sequence[str],
    spec: Mapping[str, Any],
    entry: Entry,
    benchmark: str,
    files: list[PluginFile],
) -> Record:
    """Return the record of label maps that were made elsewhere."""
    found = scores(counts)
    return Record(
        key=key_digest({"spec": spec, "entry": entry._asdict()}),
        benchmark=benchmark,
        dataset=entry.dataset,
        subset="all",
        method=entry.method,
        seed=entry.seed,
        status="ok",
        scores=found,
        per_class=per_class(counts),
        definitions=definitions(found),
        evaluated=Evaluated(split=counts.split, images=len(counts.ids), classes=list(classes)),
        spec=dict(spec),
        environment=environment(torch.device("cpu"), torch.get_num_threads()),
        plugin_files=files,
    )
