"""What a cell needs before its first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.errors import DataError
from segbench.plan.subset import Subset
from segbench.spec.protocol import Augment
from segbench.spec.recipe import Penalty

from .adversary import Adversary
from .cell_data import common_size
from .components import build_critic, build_loss, build_losses, build_network, check_no_batch_norm, mapping_of
from .data.batches import TrainingBatches
from .data.classes import check_classes
from .data.pseudo import PseudoLabelledBatches
from .data.subset import split_places
from .data.synthetic import SyntheticBatches
from .encodings import MATCHED_TO_PREDICTION
from .precision import memory_format
from .scoring import as_segmenter, is_scored, validation_miou
from .train import Training
from .unlabelled import Unlabelled, own_term, pseudo_label_term

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch

    from segbench.contracts import Dataset
    from segbench.plan.cell import Cell
    from segbench.registry import Registry
    from segbench.spec.recipe import Adversarial

    from .cell_data import CellData
    from .data.batches import BatchSource
    from .data.probabilities import Fields
    from .data.subset import Places
    from .mapping import Mapping
    from .train import Loss
    from .upstream import Upstream


def prepare_training(
    cell: Cell, registry: Registry, data: CellData, device: torch.device, upstream: Upstream, folder: Path
) -> Training:
    """Build everything that training needs; raise DataError where the data does not suit the protocol.

    Sample grids of generators of images go to `folder`.
    """
    protocol, mapping = cell.method.protocol, mapping_of(cell, data)
    if mapping.maps == "image -> image":
        check_colours_differ(data.dataset)
    if protocol.absent_classes == "refuse":
        check_classes(data.packed("train"), data.dataset.classes)
    places = split_places(data.packed("train"), Subset.parse(cell.subset))
    size = training_size(cell, data)
    network = build_network(cell, registry, data, size, device)
    if upstream.start is not None:
        network.load_state_dict(upstream.start)
    losses = build_losses(cell, registry, data, device)
    adversary = None
    if cell.method.adversarial is not None:
        adversary = build_adversary(cell, registry, data, device, mapping, places, upstream.fields)
    return Training(
        network=network,
        mapping=mapping,
        losses=losses,
        batches=labelled_batches(cell, data, places, upstream),
        validate=validation(cell, data, mapping, upstream, folder),
        protocol=protocol,
        seed=cell.seed,
        device=device,
        adversary=adversary,
        unlabelled=build_unlabelled(cell, registry, data, places, upstream, adversary, losses),
    )


def check_colours_differ(dataset: Dataset) -> None:
    """Raise DataError if two classes have one colour, which no decoder could tell apart."""
    owner: dict[tuple[int, ...], str] = {}
    for name, colour in zip(dataset.classes, dataset.palette, strict=True):
        other = owner.setdefault(tuple(colour), name)
        if other != name:
            raise DataError(
                f"the classes {other!r} and {name!r} both have the colour {list(colour)}, so a generator that paints "
                "colours cannot say which one it means; give each class a colour of its own"
            )


def training_size(cell: Cell, data: CellData) -> tuple[int, int]:
    """Return the height and width of training images."""
    return cell.method.protocol.crop or common_size(data.packed("train"))


def inference_size(cell: Cell, data: CellData, mapping: Mapping) -> tuple[int, int]:
    """Return the size at which a method's cost and speed count: that of most evaluated images, or of made ones."""
    if is_scored(mapping):
        return common_size(data.packed(cell.method.protocol.evaluate))
    return training_size(cell, data)


def labelled_batches(cell: Cell, data: CellData, places: Places, upstream: Upstream) -> BatchSource:
    """Return the batches that the supervised losses see."""
    batches = crops(cell, data, "train", places=places.labelled, fields=upstream.fields)
    if upstream.synthesise is None or cell.method.trains_on is None:
        return batches
    other = crops(cell, data, "train", places=places.labelled, stream="synthetic")
    return SyntheticBatches(batches, other, cell.method.trains_on.share, upstream.synthesise)


def build_adversary(
    cell: Cell,
    registry: Registry,
    data: CellData,
    device: torch.device,
    mapping: Mapping,
    places: Places,
    fields: Fields | None,
) -> Adversary:
    """Build the critic and what it is shown."""
    assert cell.method.adversarial is not None
    loss = build_loss(cell.method.adversarial, registry, data, device)
    recipe = with_usual_penalty(cell.method.adversarial, loss)
    critic = build_critic(cell, registry, data, training_size(cell, data), device)
    if recipe.penalty is not None:
        check_no_batch_norm(critic, recipe.penalty)
    return Adversary(
        critic=critic.train(),
        loss=loss,
        penalty=None if recipe.penalty is None else build_loss(recipe.penalty, registry, data, device),
        recipe=recipe,
        mapping=mapping,
        batches=crops(cell, data, "train", places=places.labelled, fields=fields, stream="critic"),
        validation=unseen_reals(cell, data, mapping),
        device=device,
        precision=cell.method.protocol.precision,
    )


def with_usual_penalty(recipe: Adversarial, loss: Any) -> Adversarial:
    """Return the recipe with the penalty that an adversarial loss states as its `default_penalty` (name, weight).

    A penalty that the recipe names itself is kept.
    """
    usual = getattr(loss, "default_penalty", None)
    if usual is None or recipe.penalty is not None:
        return recipe
    name, weight = usual
    return recipe.model_copy(update={"penalty": Penalty(use=name, weight=weight)})


def unseen_reals(cell: Cell, data: CellData, mapping: Mapping) -> TrainingBatches | None:
    """Return crops of the val split, or None where there are none to be had in batches."""
    # There are no out-of-fold predictions of val for a refiner to start from.
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
) -> Unlabelled | None:
    """Build the term on unlabelled images; None where the recipe has none or all images have labels."""
    settings = cell.method.unlabelled
    if settings is None or not places.unlabelled:
        return None
    batches = crops(cell, data, "train", places=places.unlabelled, stream="unlabelled", with_labels=False)
    if upstream.labeller is not None:
        protocol = cell.method.protocol
        labelled = PseudoLabelledBatches(
            batches, upstream.labeller, settings.threshold, data.dataset.ignore_index, protocol.precision
        )
        return Unlabelled(labelled, pseudo_label_term(mapping_of(cell, data), losses, settings.weight))
    assert settings.loss is not None
    loss = build_loss(settings.loss, registry, data, batches.split.device)
    return Unlabelled(batches, own_term(loss, settings.weight, adversary))


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
        batch_size=protocol.batch_size if split == "train" else min(protocol.batch_size, len(resident)),
        crop=protocol.crop,
        augment=protocol.augment if split == "train" else Augment(),
        ignore_index=data.dataset.ignore_index,
        seed=cell.seed,
        memory_format=memory_format(protocol.channels_last),
        places=places,
        fields=fields,
        stream=stream,
        with_labels=with_labels,
    )


def validation(
    cell: Cell, data: CellData, mapping: Mapping, upstream: Upstream, folder: Path
) -> Callable[[torch.nn.Module, int], float | None]:
    """Return what looks at a network during training: its mIoU on val, or for a generator of images a sample grid."""
    if is_scored(mapping):
        return lambda network, step: validation_miou(as_segmenter(network, mapping, upstream.base), cell, data)
    from .generated import write_grid

    def write(network: torch.nn.Module, step: int) -> None:
        write_grid(folder / "samples" / f"step-{step:06d}.png", network, cell, data, mapping)

    return write
