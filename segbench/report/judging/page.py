"""The page that deals pairs of label maps: one HTML file that works offline and saves what people answer.

It holds pictures and numbers of deals, and neither a method's name nor what is whose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import RecordError
from segbench.report.numbers import plural
from segbench.report.page.embedding import paint, png
from segbench.report.page.templates import as_data, content_policy, read_asset, templates
from segbench.store.judgements import SPOILT

from .dealing import make_plan
from .material import KEEP_MORE, choose_views, image_address, in_order, read_labels, spoil

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from segbench.store.description import DatasetDescription
    from segbench.store.judgements import Deal, Plan

    from .material import LabelMap, Material, View

DEFAULT_IMAGES = 20
MEGABYTE = 1_000_000


class Page(NamedTuple):
    """A page and the plan of what it deals."""

    html: str
    plan: Plan


def make_page(
    material: Material, images: int | None, seed: int, *, each_seed: bool = False, megabytes: float = 8.0
) -> Page:
    """Return the page of some images (by default DEFAULT_IMAGES, or as many as there are) and its plan.

    Raises RecordError if more images are wanted than were kept, if all label maps are the same, or if the page would be
    larger than it may be; DataError for a picture that cannot be read.
    """
    number = _check_number(material, images)
    views = choose_views(material, number, seed, each_seed=each_seed)
    labels = [read_labels(view) for view in views]
    plan = make_plan(material, views, labels, seed)
    if not plan.deals:
        raise RecordError(f"on these {number} images all label maps are the same, so there is nothing to judge")
    html = _render(material, plan, views, labels)
    _check_size(len(html.encode()), number, megabytes)
    return Page(html, plan)


def _render(material: Material, plan: Plan, views: Sequence[View], labels: Sequence[Sequence[LabelMap]]) -> str:
    scripts, styles = [read_asset("judge.js")], [read_asset("style.css"), read_asset("judge.css")]
    return (
        templates()
        .get_template("judge.html.j2")
        .render(
            plan=plan,
            data=as_data(_data(material, plan, views, labels)),
            scripts=scripts,
            styles=styles,
            policy=content_policy(scripts, styles),
        )
    )


def _data(
    material: Material, plan: Plan, views: Sequence[View], labels: Sequence[Sequence[LabelMap]]
) -> dict[str, Any]:
    """Return what the page deals from: pictures, and by deal the places of its image and its two label maps."""
    description = material.description
    addresses = {
        side: png(_draw(_labels_of(side, labels, len(description.classes)), description))
        for side in {side for deal in plan.deals for side in _sides(deal)}
    }
    # in an order that says nothing of methods
    maps = sorted(set(addresses.values()), key=lambda address: in_order(plan.hash, address))
    first = {view.image: view for view in reversed(views)}
    images = list(first)
    return {
        "plan": plan.hash,
        "images": [image_address(view) for view in first.values()],
        "maps": maps,
        "classes": [
            [name, f"#{bytes(colour).hex()}"]
            for name, colour in zip(description.classes, description.palette, strict=True)
        ],
        "deals": [
            [images.index(plan.looks[deal.look].image), *(maps.index(addresses[side]) for side in _sides(deal))]
            for deal in plan.deals
        ],
    }


class _Side(NamedTuple):
    """A label map that is dealt: its look and its method, both by number, and whether it is spoilt."""

    look: int
    method: int
    spoilt: bool


def _sides(deal: Deal) -> tuple[_Side, _Side]:
    method = max(deal.left, deal.right)
    left, right = (
        _Side(deal.look, method if side == SPOILT else side, side == SPOILT) for side in (deal.left, deal.right)
    )
    return left, right


def _labels_of(side: _Side, labels: Sequence[Sequence[LabelMap]], classes: int) -> LabelMap:
    found = labels[side.look][side.method]
    return spoil(found, classes) if side.spoilt else found


def _draw(labels: LabelMap, description: DatasetDescription) -> Image:
    """Return labels in the colours of their classes; black, as backgrounds are, leaves the image below as it is."""
    picture = paint(labels, description)
    if picture.mode == "P":
        picture.info["transparency"] = bytes(255 * any(colour) for colour in description.palette)
    return picture


def _check_number(material: Material, images: int | None) -> int:
    """Return how many images to take; RecordError if more are wanted than were kept."""
    kept = len(material.images)
    if images is not None and images > kept:
        raise RecordError(
            f"--images {images}: all of {', '.join(material.methods)} kept pictures of {plural(kept, 'image')} in "
            f"{material.folder}; write --images {kept}; {KEEP_MORE}"
        )
    return images or min(DEFAULT_IMAGES, kept)


def _check_size(size: int, images: int, megabytes: float) -> None:
    if size > megabytes * MEGABYTE:
        fitting = int(images * megabytes * MEGABYTE / size)
        advice = f"about {plural(fitting, 'image')} fit: write --images {fitting}, or" if fitting else "use"
        raise RecordError(
            f"the page of {images} images would have {size / MEGABYTE:.1f} MB, more than the {megabytes:g} MB it may "
            f"have; {advice} --max-mb {-(-size // MEGABYTE)}"
        )
