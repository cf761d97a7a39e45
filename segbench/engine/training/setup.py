"""Build what the training of a cell needs: network, losses, batches, discriminator, the term on unlabelled images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from segbench.config.augment import Augment
from segbench.config.recipe import Penalty
from segbench.contract import AdversarialLoss
from segbench.engine.adversarial.adversary import Adversary, parameter_names
from segbench.engine.adversarial.discriminator import build_discriminator, check_no_batch_norm
from segbench.engine.adversarial.pairing import MATCHED_TO_PREDICTION
from segbench.engine.data.batches import TrainingBatches, find_largest_too_small
from segbench.engine.data.cache import absent_classes, check_classes
from segbench.engine.data.class_weights import weigh_classes
from segbench.engine.data.dataset import common_size
from segbench.engine.data.subset import split_places
from segbench.engine.evaluation.evaluate import validation_miou
from segbench.engine.evaluation.self_test import find_confused_classes
from segbench.engine.model.build import as_segmenter, build_loss, build_losses, build_network, mapping_of
from segbench.engine.numerics import memory_format, training_seed
from segbench.engine.ranks import ALONE, Ranks
from segbench.errors import DataError, SpecError, list_some
from segbench.plan.cell import Subset
from segbench.store.pictures import SAMPLES, grid_name

from .loop import Training
from .upstream import PseudoLabelledBatches, SyntheticBatches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from segbench.config.protocol import TrainingProtocol
    from segbench.config.recipe import Adversarial, Method
    from segbench.config.resize import Size
    from segbench.contract import Dataset
    from segbench.engine.data.batches import Batch, BatchSource
    from segbench.engine.data.dataset import CellData
    from segbench.engine.data.probabilities import Fields
    from segbench.engine.data.subset import Places
    from segbench.engine.model.mapping import GeneratorMapping
    from segbench.plan.cell import Cell
    from segbench.registry import Registry

    from .loop import Loss
    from .upstream import Upstream


@dataclass(frozen=True)
class Unlabelled:
    """Batches of unlabelled images, and the weighted loss of the logits (N, K, H, W) of a batch."""

    batches: BatchSource
    loss: Callable[[torch.Tensor, Batch], torch.Tensor]


def prepare_training(
    cell: Cell,
    registry: Registry,
    data: CellData,
    device: torch.device,
    upstream: Upstream,
    folder: Path,
    ranks: Ranks = ALONE,
) -> Training:
    """Build everything that training needs; raise DataError where the data does not suit the protocol.

    Sample grids of generators of images go to `folder`; `ranks` are the processes that train together.
    """
    mapping = mapping_of(cell, data)
    check_data(cell.method, data)
    places = split_places(data.packed("train"), Subset.parse(cell.subset))
    class_weights = weigh_classes(cell.method, data.resized("train"), places.labelled, data.dataset.classes)
    network = build_network(cell, registry, data, training_size(cell, data), device)
    if upstream.start is not None:
        network.load_state_dict(upstream.start)
    losses = build_losses(cell, registry, data, device, class_weights)
    adversary = None
    if cell.method.adversarial is not None:
        built = build_adversary(cell, registry, data, device, mapping, places, upstream.fields)
        adversary = replace(built, weights=upstream.weights, ranks=ranks)
    return Training(
        network=network,
        mapping=mapping,
        losses=losses,
        batches=build_batches(cell, data, places, upstream),
        validate=build_validation(cell, data, mapping, upstream, folder, ranks),
        protocol=cell.method.protocol,
        seed=training_seed(cell),
        device=device,
        adversary=adversary,
        unlabelled=build_unlabelled(cell, registry, data, places, upstream, adversary, losses, ranks),
        class_weights=class_weights or None,
        deep_supervision=deep_supervision(mapping, losses, cell.method.protocol.auxiliary_weight),
        ranks=ranks,
    )


def check_data(method: Method, data: CellData) -> None:
    """Raise DataError for colours or absent classes with which the method must not be trained."""
    check_palette(method, data.dataset)
    if method.protocol.absent_classes == "refuse":
        check_classes(data.packed("train"), data.dataset.classes)
    if method.protocol.resize is not None:
        check_resized(method.protocol, data)


def check_resized(protocol: TrainingProtocol, data: CellData) -> None:
    """Raise DataError where resizing takes the last pixel of a class, or makes images smaller than crop or window."""
    lost = absent_classes(data.resized("train"), data.dataset.classes)
    if protocol.absent_classes == "refuse" and lost:
        raise DataError(
            f"no pixel of {list_some(list(map(repr, lost)))} is left in the labels of split 'train' after "
            f"protocol.resize ({protocol.resize}); resize less, or set `absent_classes: allow` in the protocol"
        )
    if protocol.crop is not None:
        _check_reach("crop", protocol.crop, "train", data, protocol.augment.scale[1])
    if protocol.window is not None:
        _check_reach("window.size", protocol.window.size, protocol.evaluate, data)


def _check_reach(key: str, part: Size, split: str, data: CellData, zoom: float = 1.0) -> None:
    """Refuse a part that is larger than every resized image of a split."""
    sizes = data.resized(split).index.sizes
    if (largest := find_largest_too_small(sizes, part, zoom)) is None:
        return
    native = data.packed(split)
    raise DataError(
        f"protocol.{key} {list(part)} (height, width) is larger than every resized image of split {split!r}; the "
        f"largest, {native.ids[largest]!r}, is {list(sizes[largest])}, resized from "
        f"{list(native.index.sizes[largest])}; set protocol.{key} to at most that, or resize less"
    )


def check_palette(method: Method, dataset: Dataset) -> None:
    """Raise DataError if a generator paints classes in palette colours of which one decodes to another class."""
    if method.maps != "image -> image":
        return
    for name, other in find_confused_classes(dataset):
        raise DataError(
            f"{method.generator.use} paints classes in their palette colours, and that of {name!r} is taken for "
            f"{other!r}; give each class of the dataset a colour of its own"
        )


def training_size(cell: Cell, data: CellData) -> tuple[int, int]:
    """Return the height and width of training images."""
    return cell.method.protocol.crop or common_size(data.resized("train"))


def inference_size(cell: Cell, data: CellData, mapping: GeneratorMapping) -> tuple[int, int]:
    """Return the size for a method's cost and speed: of most evaluated images, not resized, or of generated ones."""
    if mapping.predicts_labels:
        return common_size(data.packed(cell.method.protocol.evaluate))
    return training_size(cell, data)


def build_batches(cell: Cell, data: CellData, places: Places, upstream: Upstream) -> BatchSource:
    """Return the batches of the supervised losses."""
    batches = crops(cell, data, "train", places=places.labelled, fields=upstream.fields)
    if upstream.synthesise is None or cell.method.trains_on is None:
        return batches
    originals = crops(cell, data, "train", places=places.labelled, stream="synthetic")
    return SyntheticBatches(batches, originals, cell.method.trains_on.share, upstream.synthesise)


def build_adversary(
    cell: Cell,
    registry: Registry,
    data: CellData,
    device: torch.device,
    mapping: GeneratorMapping,
    places: Places,
    fields: Fields | None,
) -> Adversary:
    """Build the discriminator, its loss, penalty and batches; SpecError if they do not fit together."""
    assert cell.method.adversarial is not None
    loss = build_loss(cell.method.adversarial, registry, data, device)
    recipe = add_default_penalty(cell.method.adversarial, loss)
    discriminator = build_discriminator(cell, registry, data, training_size(cell, data), device)
    if recipe.penalty is not None:
        check_no_batch_norm(discriminator, recipe.penalty)
    return Adversary(
        discriminator=discriminator.train(),
        loss=loss,
        penalty=None if recipe.penalty is None else build_loss(recipe.penalty, registry, data, device),
        recipe=recipe,
        mapping=mapping,
        batches=crops(cell, data, "train", places=places.labelled, fields=fields, stream="critic"),
        validation=validation_crops(cell, data, mapping),
        device=device,
        precision=cell.method.protocol.precision,
    )


def add_default_penalty(recipe: Adversarial, loss: Any) -> Adversarial:
    """Return the recipe with the penalty that an adversarial loss states as its `default_penalty` (name, weight).

    A penalty that the recipe names itself is kept.
    """
    default = getattr(loss, "default_penalty", AdversarialLoss.default_penalty)
    if default is None or recipe.penalty is not None:
        return recipe
    name, weight = default
    return recipe.model_copy(update={"penalty": Penalty(use=name, weight=weight)})


def validation_crops(cell: Cell, data: CellData, mapping: GeneratorMapping) -> TrainingBatches | None:
    """Return crops of the val split, on which nothing is trained; None where there are none."""
    # A refiner has no out-of-fold predictions of val to start from.
    unpredictable = mapping.maps == "image, labels -> labels" and mapping.form.encoding.use in MATCHED_TO_PREDICTION
    if "val" not in data.dataset.splits or unpredictable:
        return None
    try:
        return crops(cell, data, "val", stream="validation")
    except DataError:
        return None


def build_unlabelled(
    cell: Cell,
    registry: Registry,
    data: CellData,
    places: Places,
    upstream: Upstream,
    adversary: Adversary | None,
    losses: Sequence[tuple[float, Loss]],
    ranks: Ranks,
) -> Unlabelled | None:
    """Build the term on unlabelled images; None where the recipe has none or all images have labels."""
    settings = cell.method.unlabelled
    if settings is None or not places.unlabelled:
        return None
    batches = crops(cell, data, "train", places=places.unlabelled, stream="unlabelled", with_labels=False)
    if upstream.labeller is not None:
        protocol, labeller = cell.method.protocol, ranks.spread(upstream.labeller)
        labelled = PseudoLabelledBatches(
            batches, labeller, settings.threshold, data.dataset.ignore_index, protocol.precision
        )
        return Unlabelled(labelled, pseudo_label_term(mapping_of(cell, data), losses, settings.weight))
    assert settings.loss is not None
    loss = build_loss(settings.loss, registry, data, batches.split.device)
    return Unlabelled(batches, unlabelled_loss_term(loss, settings.weight, adversary))


def crops(
    cell: Cell,
    data: CellData,
    split: str,
    *,
    places: Sequence[int] | None = None,
    fields: Fields | None = None,
    stream: str = "",
    with_labels: bool = True,
) -> TrainingBatches:
    """Return random crops of a split under the cell's protocol; those of another split than train are not augmented."""
    protocol, resident = cell.method.protocol, data.resident(split)
    return TrainingBatches(
        resident,
        batch_size=protocol.images_per_step if split == "train" else min(protocol.batch_size, len(resident)),
        crop=protocol.crop,
        augment=protocol.augment if split == "train" else Augment(),
        ignore_index=data.dataset.ignore_index,
        seed=training_seed(cell),
        memory_format=memory_format(protocol.channels_last),
        places=places,
        fields=fields,
        stream=stream,
        with_labels=with_labels,
    )


def build_validation(
    cell: Cell, data: CellData, mapping: GeneratorMapping, upstream: Upstream, folder: Path, ranks: Ranks
) -> Callable[[torch.nn.Module, int], float | None]:
    """Return a function of network and step that gives the mIoU on val, or writes a sample grid of generated images."""
    if mapping.predicts_labels:
        return lambda network, step: validation_miou(
            as_segmenter(network, mapping, upstream.base), data.scored("val"), cell.method.protocol, data.dataset, ranks
        )
    from segbench.engine.generation.generated import write_grid

    def write(network: torch.nn.Module, step: int) -> None:
        if ranks.leads:
            write_grid(folder / SAMPLES / grid_name(step), network, cell, data, mapping)

    return write


def pseudo_label_term(
    mapping: GeneratorMapping, losses: Sequence[tuple[float, Loss]], weight: float
) -> Callable[[Any, Batch], torch.Tensor]:
    """Return the weighted supervised losses against the labels that came with the batch, or their palette colours."""

    def term(output: torch.Tensor, batch: Batch) -> torch.Tensor:
        target = mapping.target(batch)
        total = sum(loss_weight * loss(output, target) for loss_weight, loss in losses)
        return weight * total  # type: ignore[return-value]  # a recipe has at least one loss

    return term


def deep_supervision(
    mapping: GeneratorMapping, losses: Sequence[tuple[float, Loss]], weight: float | None
) -> Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor] | None:
    """Return the weighted sum of a method's losses over auxiliary outputs; None without a weight or predicted labels.

    It takes outputs (N, K, H, W) and labels (N, H, W), and raises SpecError if the method has no losses.
    """
    if weight is None or not mapping.predicts_labels:
        return None

    def term(outputs: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        if not losses:
            raise SpecError(
                "protocol.auxiliary_weight: auxiliary outputs are trained with the losses of the method, and it has "
                "none; add losses, or set protocol: {auxiliary_weight: null} for it"
            )
        target = mapping.label_target(labels)
        return weight * torch.stack([share * loss(one, target) for one in outputs for share, loss in losses]).sum()

    return term


def unlabelled_loss_term(loss: Any, weight: float, adversary: Adversary | None) -> Callable[[Any, Batch], torch.Tensor]:
    """Return a loss of the role "unlabelled", weighted; SpecError if it needs a discriminator that the recipe lacks.

    By its parameters it takes `logits`, `scores` or both: scores are the discriminator's for the encoded predictions,
    resized to the images (bilinear, align_corners=False).
    """
    names = parameter_names(loss.forward if isinstance(loss, nn.Module) else loss)
    if "scores" in names and adversary is None:
        raise SpecError(
            f"the unlabelled loss {type(loss).__name__} needs a discriminator's scores, but the method has none; "
            "give it a discriminator and an adversarial loss, or pseudo_labels_from"
        )

    def term(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        given = {"logits": logits} if "logits" in names else {}
        if adversary is not None and "scores" in names:
            given["scores"] = adversary.score_map(batch.images, logits)
        result: torch.Tensor = weight * loss(**given)
        return result

    return term
