"""Load the network of a recorded cell: find the record, build the network, read its weights.

Reading a record runs no code: plugin files that the cell was made with must be given again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError

from segbench.config.recipe import REFINING
from segbench.contract import Dataset
from segbench.engine.adversarial.adversary import Adversary
from segbench.engine.adversarial.discriminator import build_discriminator
from segbench.engine.data.dataset import CellData
from segbench.engine.model.build import as_segmenter, build_loss, build_network, mapping_of
from segbench.engine.model.checkpoint import load_kept
from segbench.engine.model.rebuild import check_numbers, rebuild
from segbench.errors import RecordError
from segbench.plan.cell import Cell
from segbench.plan.key import source_hash
from segbench.registry import load_registry
from segbench.registry.plugin_files import given_files, sha256_of
from segbench.shown import quote
from segbench.store.description import DATASET, DatasetDescription, read_description
from segbench.store.folder import KEY, files_of, key_in, read_record, record_files
from segbench.store.json_file import describe_error
from segbench.store.plugin_copies import describe_copy, explain_not_given, shorten_hash

from .job import DISCRIMINATOR, MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.config.protocol import TrainingProtocol
    from segbench.config.recipe import ComponentUse
    from segbench.contract import Kind
    from segbench.engine.model.mapping import GeneratorMapping
    from segbench.registry import Registry
    from segbench.store.record import Record


ScoreMap = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Scores (N, 1, H, W) of a discriminator for images (N, C, H, W) and logits (N, K, H, W), the higher the more real."""


@dataclass(frozen=True)
class RecordedNetwork:
    """The network of a finished cell, in evaluation mode, with its dataset and protocol.

    - network: a segmenter that takes images alone, or a generator of images, as `mapping` says
    - warnings: what has changed since the cell was trained
    - score_map: that of the discriminator, where one was kept
    - score_boundary: the score between real and fake; None where the discriminator's loss defines none
    """

    network: torch.nn.Module
    mapping: GeneratorMapping
    dataset: DatasetDescription
    protocol: TrainingProtocol
    warnings: tuple[str, ...]
    key: str
    score_map: ScoreMap | None = None
    score_boundary: float | None = None


def find_record(cell: str, results: Path) -> Path:
    """Return the record file of a path, or of a key or the beginning of one, in any benchmark of `results`.

    Raises RecordError if there is none, or more than one.
    """
    path = Path(cell)
    if path.suffix == ".json" or len(path.parts) > 1:
        if not path.is_file():
            raise RecordError(f"there is no record {path}")
        return path
    folders = sorted(folder for folder in results.iterdir() if folder.is_dir()) if results.is_dir() else []
    records = [record for folder in folders for record in record_files(folder)]
    found = [record for record in records if key_in(record).startswith(cell)]
    if not found:
        raise RecordError(
            f"no key in {results} begins with {cell!r} ({len(records)} records there); "
            "give another folder with --results, or the record's path"
        )
    return found[0] if len(found) == 1 else _choose_finished(cell, found)


def _choose_finished(cell: str, found: Sequence[Path]) -> Path:
    """Return the one record of a finished cell among those of one key; RecordError if there is not exactly one."""
    if len({key_in(record) for record in found}) > 1:
        raise RecordError(
            f"{cell!r} is the beginning of more than one key: {', '.join(map(str, found))}; write more of it"
        )
    finished = [record for record in found if _is_finished(record)]
    if len(finished) != 1:
        raise RecordError(
            f"the key {key_in(found[0])} stands in {len(found)} benchmarks, and {len(finished) or 'none'} of its cells "
            f"are finished; give the path of one: {', '.join(map(str, finished or found))}"
        )
    return finished[0]


def _is_finished(path: Path) -> bool:
    try:
        return read_record(path).status == "ok"
    except (RecordError, OSError):
        return False


def load_network(path: Path, device: torch.device, above: tuple[Path, ...] = ()) -> RecordedNetwork:
    """Build the network of a record with the weights left beside it, in evaluation mode on `device`.

    Needs the plugins of its components, but neither its dataset nor pretrained weights. The process keeps its settings;
    those of the cell are for `apply_numeric_settings(recorded.protocol)`. `above` are the records that this one is
    loaded for. Raises RecordError if the record is not of a finished cell, is none that a run could have written, or
    its files are missing or damaged.
    """
    record = _read_finished(path)
    folder = files_of(path.parent, record)
    model = _find_weights(path, folder)
    cell = _cell_as_trained(record, path)
    base = _load_base(cell, path, device, above)
    description = read_description(folder / DATASET)
    registry = load_registry()
    check_files_given(record, cell, folder, registry)
    _check_maps(cell, registry, path)
    dataset = Dataset(description.classes, description.palette, {}, description.ignore_index, description.channels)
    data, size = CellData(dataset, "", device), _size_built_for(cell, record, path)
    build = partial(build_network, cell, registry, data, size)
    network, mapping = _rebuild(build, model, cell.method.generator, registry, device), mapping_of(cell, data)
    adversary = _build_adversary(folder / DISCRIMINATOR, cell, registry, data, size, device)
    return RecordedNetwork(
        as_segmenter(network, mapping, base).eval(),
        mapping,
        description,
        cell.method.protocol,
        tuple(warn_of_changed_files(record, folder) or _warn_of_changed_source(cell, registry)),
        record.key,
        None if adversary is None else adversary.evaluate_score_map,
        None if adversary is None else adversary.boundary,
    )


def _find_weights(path: Path, folder: Path) -> Path:
    """Return the file of the weights that a cell kept; raise RecordError if it kept none."""
    model = folder / MODEL
    if not model.is_file():
        raise RecordError(
            f"{path}: its network was not kept, there is no {model}; "
            "run the cell again with `--set protocol.keep.model=last` after removing the record"
        )
    return model


def _load_base(cell: Cell, path: Path, device: torch.device, above: tuple[Path, ...]) -> torch.nn.Module | None:
    """Return the segmenter that a refiner corrects, from the record beside its own; RecordError for a circle."""
    if cell.method.maps != REFINING:
        return None
    base = _beside(path, cell.upstream.get("refines"), "the cell that it refines")
    if base in (*above, path):
        raise RecordError(f"{path}: it refines a cell that refines this one, by {base}; the record has been changed")
    return load_network(base, device, (*above, path)).network


def _beside(path: Path, key: str | None, what: str) -> Path:
    """Return the record of another cell of the same run; RecordError for what is no key, such as a path elsewhere."""
    if key is None or not KEY.fullmatch(key):
        raise RecordError(f"{path}: {quote(key)} is not the key of {what}; a key has 16 hexadecimal digits")
    return path.with_name(f"{key}.json")


def _check_maps(cell: Cell, registry: Registry, path: Path) -> None:
    """Raise RecordError unless the components are what the record says they are."""
    method = cell.method
    maps = registry.find("generator", method.generator.use).component.maps
    if maps != method.maps:
        raise RecordError(f"{path}: it maps {quote(method.maps)}, but {method.generator.use} maps {maps!r}")
    if method.adversarial and registry.find("loss", method.adversarial.use).component.role != "adversarial":
        raise RecordError(f"{path}: {method.adversarial.use} is not an adversarial loss")


def _rebuild(
    build: Callable[[torch.device], torch.nn.Module], weights: Path, use: ComponentUse, registry: Registry, device: Any
) -> Any:
    """Return a network of the cell with its weights from a file; RecordError that names the file if it cannot be."""
    tensors = load_kept(weights)
    kind: Kind = "generator" if weights.name == MODEL else "discriminator"
    try:
        check_numbers(use.options, tensors)
        return rebuild(build, tensors, registry.find(kind, use.use).component.requires, device)
    except RecordError as error:
        raise RecordError(f"{weights} {error}") from error


def _build_adversary(
    weights: Path, cell: Cell, registry: Registry, data: CellData, size: tuple[int, int], device: torch.device
) -> Adversary | None:
    """Return the adversary that a network was trained with; None where no discriminator was kept."""
    recipe = cell.method.adversarial
    use = cell.method.discriminator
    if recipe is None or use is None or not weights.is_file():
        return None
    discriminator = _rebuild(partial(build_discriminator, cell, registry, data, size), weights, use, registry, device)
    return Adversary(
        discriminator=discriminator,
        loss=build_loss(recipe, registry, data, device),
        penalty=None,
        recipe=recipe,
        mapping=mapping_of(cell, data),
        device=device,
        precision=cell.method.protocol.precision,
    )


def _read_finished(path: Path) -> Record:
    try:
        record = read_record(path)
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error
    if record.spec.get("scored"):
        raise RecordError(f"{path}: it holds scores of label maps of another tool, so there is no network")
    if record.status != "ok":
        cause = f": {record.error.cause}" if record.error else ""
        raise RecordError(f"{path}: that cell is {record.status}{cause}; only a finished cell has a network")
    return record


def load_segmenter(path: Path, device: torch.device) -> RecordedNetwork:
    """Build the network of a record as `load_network` does; RecordError too if it makes images and no label maps."""
    recorded = load_network(path, device)
    if not recorded.mapping.predicts_labels:
        raise RecordError(f"{path}: its network maps {recorded.mapping.maps}, so it predicts no label maps of images")
    return recorded


def read_cell(path: Path) -> Cell:
    """Return the cell of a record as its network was trained; RecordError if it is not that of a finished cell."""
    return _cell_as_trained(_read_finished(path), path)


def _cell_as_trained(record: Record, path: Path) -> Cell:
    """Return the cell of a record; a tuned one has the recipe of its best trial, whose record lies beside its own."""
    cell = _parse_cell(record, path)
    if record.settled is None or record.settled.winner is None:
        return cell
    beside = _beside(path, record.settled.winner, "its best trial")
    try:
        trial = _parse_cell(_read_finished(beside), beside)
    except RecordError as error:
        raise RecordError(f"{path}: it was tuned, and its network is built as in its best trial: {error}") from error
    return cell.model_copy(update={"method": cell.method.with_recipe_of(trial.method)})


def _parse_cell(record: Record, path: Path) -> Cell:
    try:
        return Cell.model_validate(record.spec)
    except ValidationError as error:
        raise RecordError(f"{path}: its spec is not that of a cell, {describe_error(error)}") from error


def _size_built_for(cell: Cell, record: Record, path: Path) -> tuple[int, int]:
    """Return the image size that the network was built for: the crop, or else that of whole images as resized."""
    if cell.method.protocol.crop is not None:
        return cell.method.protocol.crop
    if record.cost is None or record.cost.flops_size is None:
        raise RecordError(f"{path}: it holds neither a crop nor the size of its images")
    return cell.method.input_size(record.cost.flops_size)


def _warn_of_changed_source(cell: Cell, registry: Registry) -> list[str]:
    """Return a warning if the generator's code is no longer what the cell was trained with."""
    name = cell.method.generator.use
    recorded = cell.sources.get(f"generator {name}")
    if recorded in (None, source_hash(registry.find("generator", name))):
        return []
    return [f"the source code of {name} has changed since this cell was trained; its predictions may differ"]


def check_files_given(record: Record, cell: Cell, folder: Path, registry: Registry) -> None:
    """Raise RecordError if a plugin file that the cell's network needs is not given.

    `folder` is that of the record's files.
    """
    method = cell.method
    uses = [use.use for use in (method.generator, method.discriminator, method.adversarial) if use is not None]
    needed = {name.partition("/")[0] for name in uses}
    for file in record.plugin_files:
        if file.plugin in needed and file.plugin not in registry.plugins:
            raise RecordError(explain_not_given(file, folder))


def warn_of_changed_files(record: Record, folder: Path) -> list[str]:
    """Return a warning for each plugin file whose content is not what the cell was made with."""
    given = {file.stem: file for file in given_files()}
    return [
        f"{given[file.plugin]} is not what this cell was made with: its SHA-256 is {shorten_hash(now)} and was "
        f"{shorten_hash(file.sha256)}; predictions may differ. {describe_copy(file, folder)}"
        for file in record.plugin_files
        if file.plugin in given and (now := sha256_of(given[file.plugin])) != file.sha256
    ]
