"""The room of pictures: input, truth, and of each method the prediction, its errors and what the discriminator says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import DataError
from segbench.report import cell_spec
from segbench.report.numbers import percent, points
from segbench.report.ranking.groups import name_rankings
from segbench.store.pictures import read_kept_labels, read_kept_picture

from .embedding import USUAL, Allowance, Picture, jpeg, paint, png, read_description_of, shrink
from .maps import BOUNDARY_TONES, ERROR_TONES, boundary_map, error_map, shrink_labels
from .parts import Room
from .picture_choice import choose_pictures
from .templates import templates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.config.protocol import Boundaries
    from segbench.report.ranking.groups import Report
    from segbench.store.description import DatasetDescription

    from .maps import Labels, Tone
    from .picture_choice import Choice, ShownCell, ShownImage


class Column(NamedTuple):
    """Pictures below one another: those of a method, or the image with its truth, whose name is empty."""

    name: str
    note: str
    pictures: tuple[Picture, ...]


class Sheet(NamedTuple):
    """All pictures of an image under a heading; `scores` are those that discriminators gave."""

    image: ShownImage
    heading: str
    columns: tuple[Column, ...]
    scores: tuple[Picture, ...]

    @property
    def bytes(self) -> int:
        """The length of its pictures on the page."""
        pictures = [picture for column in self.columns for picture in column.pictures]
        return sum(len(picture.uri) for picture in (*pictures, *self.scores))


class LegendEntry(NamedTuple):
    """A colour (red, green, blue) and what it stands for."""

    colour: tuple[int, int, int]
    text: str


@dataclass(frozen=True)
class Board:
    """The sheets of one ranking: its heading, what is shown in words, legends, and the two methods compared first."""

    heading: str
    order: str
    classes: tuple[LegendEntry, ...]
    maps: tuple[tuple[str, tuple[Tone, ...]], ...]
    sheets: tuple[Sheet, ...]
    better: str
    worse: str


def pictures(report: Report, allowance: Allowance = USUAL) -> Room | None:
    """Return the room of pictures; None where no cell kept any.

    Images that may not be passed on are left out unless the page is private, and the room says so.
    """
    named = zip(name_rankings(report), report.groups, strict=True)
    choices = [(name, choice) for name, group in named if (choice := choose_pictures(report, group))]
    left = allowance.bytes
    if any(row.generates_images for group in report.groups for row in group.rows):
        left -= left // 4  # which the room of games may fill
    boards: list[Board] = []
    notes = []
    for place, (name, choice) in enumerate(choices):
        cell = choice.source
        if reason := allowance.why_withheld(cell.record, cell.folders[0]):
            notes.append(reason)
        elif (description := read_description_of(cell.folders[0])) is None:
            notes.append(f"{cell.record.key}/dataset.json is missing or damaged, so its pictures have no classes.")
        else:
            boards.append(_draw_board(name, choice, description, left // (len(choices) - place)))
            left -= sum(sheet.bytes for sheet in boards[-1].sheets)
    if not boards and not notes:
        return None
    html = templates().get_template("pictures.html.j2").render(boards=boards)
    return Room("pictures", "Pictures", html=html, notes=tuple(dict.fromkeys(notes)))


def _draw_board(name: str, choice: Choice, description: DatasetDescription, limit: int) -> Board:
    """Draw the images in order while there is room for them."""
    sheets: list[Sheet] = []
    is_full = False
    for sheet in (_draw_sheet(choice, image, description) for image in choice.images):
        is_full = sheet is not None and sum(one.bytes for one in sheets) + sheet.bytes > limit
        if is_full:
            break
        sheets += [sheet] if sheet else []
    return Board(
        heading=name,
        order=_describe(choice, len(sheets), _what_is_missing(choice, len(sheets), is_full)),
        classes=tuple(_class_legend(choice, description)),
        maps=(("errors", ERROR_TONES), ("boundaries", BOUNDARY_TONES)),
        sheets=tuple(sheets),
        better=choice.better,
        worse=choice.worse,
    )


def _what_is_missing(choice: Choice, shown: int, is_full: bool) -> str:
    """Say why no more images are shown; "" if all are."""
    if is_full:
        return " (--pictures-mb makes room for more)"
    if shown < len(choice.images):
        return " (pictures of the others are missing or damaged)"
    return " (keep: {samples: N} in a benchmark file keeps more)" if shown < len(choice.cells[0].counts.ids) else ""


def _describe(choice: Choice, shown: int, missing: str) -> str:
    """Say how many images are shown, of which seed, and in what order."""
    images = len(choice.cells[0].counts.ids)
    amount = f"{shown} of the {len(choice.images)} images that cells kept, of {images} evaluated{missing}"
    order = f"those first on which {choice.better} is worst"
    if choice.worse:
        over = f", per-image mIoU, mean over {len(choice.seeds)} seeds" if len(choice.seeds) > 1 else ", per-image mIoU"
        order = f"the largest differences {choice.better} - {choice.worse} first{over}"
    return f"{amount}; {order}. Predictions of seed {choice.seed}."


def _class_legend(choice: Choice, description: DatasetDescription) -> Iterator[LegendEntry]:
    """Yield the classes with their share of the labelled pixels of the evaluated split."""
    pixels = choice.cells[0].counts.confusion.sum(axis=(0, 2))
    for name, colour, count in zip(description.classes, description.palette, pixels.tolist(), strict=True):
        yield LegendEntry(colour, f"{name} {percent(count / max(1, int(pixels.sum())))} %")


def _draw_sheet(choice: Choice, image: ShownImage, description: DatasetDescription) -> Sheet | None:
    """Draw what the cells kept of an image; None if that cannot be read."""
    try:
        pixels, truth = _read_input(choice.source, image.id, description)
    except (DataError, OSError, ValueError):
        return None
    small = shrink_labels(truth)
    first = Column(
        "",
        "",
        (
            _picture("input", f"image {image.id}", jpeg(shrink(pixels)), small),
            _picture("truth", f"true classes of image {image.id}", png(paint(small, description)), small),
        ),
    )
    columns = [_draw_cell(cell, image.id, small, truth.shape, description) for cell in choice.cells]
    scores = [picture for cell in choice.cells for picture in _score_map(cell, image.id)]
    return Sheet(image, _heading(choice, image), (first, *filter(None, columns)), tuple(scores))


def _heading(choice: Choice, image: ShownImage) -> str:
    """Name the image and the difference of the two methods on it: over all seeds, not only the one that is shown."""
    if image.gain is None:
        return image.id
    over = f", mean over {len(choice.seeds)} seeds" if len(choice.seeds) > 1 else ""
    return f"{image.id} · {choice.better} - {choice.worse}: {points(image.gain)} points{over}"


def _draw_cell(
    cell: ShownCell, image: str, truth: Labels, shape: tuple[int, ...], description: DatasetDescription
) -> Column | None:
    """Draw what a cell predicted for an image; None if it kept nothing that can be read."""
    try:
        labels = read_kept_labels(cell.picture(image))
    except (DataError, OSError):
        return None
    if labels.shape != shape:
        return None
    labels = shrink_labels(labels)
    widths = _boundaries(cell)
    wrong = error_map(labels, truth, description.ignore_index, widths.iou_width)
    lines = boundary_map(labels, truth, description.ignore_index, widths.f1_tolerance)
    of = f"of {cell.name} on image {image}"
    found = [
        _picture("prediction", f"prediction {of}", png(paint(labels, description)), truth),
        _picture("errors", f"errors {of}", png(wrong), truth),
        _picture("boundaries", f"boundary errors {of}", png(lines), truth),
    ]
    return Column(cell.name, f"mIoU {percent(cell.miou.get(image))}, seed {cell.record.seed}", tuple(found))


def _boundaries(cell: ShownCell) -> Boundaries:
    """Return how wide boundaries were when the cell was scored; the default where its record does not tell."""
    from pydantic import ValidationError

    from segbench.config.protocol import Boundaries

    try:
        return Boundaries.model_validate(cell_spec.protocol(cell.record).get("boundaries") or {})
    except ValidationError:
        return Boundaries()


def _score_map(cell: ShownCell, image: str) -> Iterator[Picture]:
    """Yield the discriminator's scores of a prediction, where the cell kept them."""
    from PIL import Image

    try:
        pixels = read_kept_picture(cell.picture(image, ".critic"))
    except (DataError, OSError):
        return
    shrunk = shrink(Image.fromarray(pixels))
    text = f"discriminator's scores of {cell.name} on image {image}"
    yield Picture(f"discriminator of {cell.name}", text, jpeg(shrunk), *shrunk.size)


def _read_input(cell: ShownCell, image: str, description: DatasetDescription) -> tuple[Any, Labels]:
    """Return an image and its true labels, of older versions those of the panel; DataError if one cannot be read."""
    from PIL import Image

    from segbench.engine.pictures.drawing import labels_of_colours, split_panel

    panel = read_kept_picture(cell.picture(image, ".panel"))
    path = cell.picture(image, ".truth")
    if path.is_file():
        truth = read_kept_labels(path)
        pixels, _ = split_panel(panel, len(truth))
    else:
        pixels, colours = split_panel(panel, len(panel))
        truth = labels_of_colours(colours, description.palette, description.ignore_index)
    if truth.shape != pixels.shape[:2]:
        raise DataError(f"{path}: it is not as large as its image")
    return Image.fromarray(pixels), truth


def _picture(kind: str, alternative: str, uri: str, labels: Labels) -> Picture:
    height, width = labels.shape
    return Picture(kind, alternative, uri, width, height)
