"""Masks made of what labelling tools export: COCO's JSON, LabelMe's beside each image, Label Studio's of brushes.

Polygons are drawn by what their own tool draws with: COCO's, and run lengths, by pycocotools, LabelMe's by Pillow.
"""

from __future__ import annotations

import posixpath
import shutil
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import catch_warnings

import numpy as np
from PIL import Image, ImageDraw
from pydantic_core import from_json

from segbench.errors import DataError, SegbenchError, list_some
from segbench.images.files import image_files, is_litter, same_name
from segbench.registry.extras import install_command

from .label_studio import is_label_studio, read_label_studio
from .layout import MASK_OF_TASK, SPLIT, split_pattern
from .links import link
from .names import NamedClass, find_names
from .shapes import Drawing, Shape, find_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

MASKS = "masks"
# Where links to the images of several folders lie.
IMAGES = "all_images"
BACKGROUND = ("background", "_background_")
VOID = 255
# Forms of LabelMe that cover an area.
AREAS = ("polygon", "rectangle", "circle")


class DrawnMasks(NamedTuple):
    """What was made of shapes: the classes with their values in the masks, and what is to be said of it."""

    named: list[NamedClass]
    remarks: list[str]


def draw_masks(root: Path, chosen: str | None = None) -> DrawnMasks | None:
    """Write a mask for each image that files of shapes below `root` describe, into `root/masks`; None without such.

    `chosen` is the folder of the images that count, None for all. The names of classes are written into
    `root/classes.txt` where no file has any. Pixels of no shape are background, and where shapes overlap the smaller is
    on top. Raises DataError for files that are cut off or name images that are not there, and where `masks` holds
    something.
    """
    drawings: dict[Path, Drawing] = {}
    names: list[str] = []
    knows_tasks = False
    images = _images_by_name(root)
    for file in _json_files(root):
        content = _read(file)
        reader = next((read for fits, read in READERS if fits(content)), None)
        if reader is None:
            continue
        try:
            found, named = reader(file, content, images)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise DataError(f"{file}: not as its tool writes it ({error!r:.100}); export it again") from error
        names += named
        knows_tasks |= reader is read_label_studio and bool(content)
        for image, drawing in found.items():
            if chosen is None or _pattern(root, image) == split_pattern(chosen.rstrip("/"))[0]:
                drawings.setdefault(image, Drawing(drawing.size, [])).shapes.extend(drawing.shapes)
    if not drawings:
        if knows_tasks:
            raise DataError(f"{root}: no task of Label Studio's JSON has an annotation of these images that counts")
        if exported := next((paths[0] for name, paths in images.items() if MASK_OF_TASK.fullmatch(name)), None):
            raise DataError(f"{exported} names a task, not an image; export the project as JSON too, and put it beside")
        return None
    classes = ["background", *(name for name in dict.fromkeys(names) if _is_class(name))]
    if len(classes) > VOID:
        raise DataError(f"{root}: {len(classes)} classes; masks of shapes hold at most {VOID}")
    remarks = _write(root, drawings, {name: place for place, name in enumerate(classes)})
    legend = [NamedClass(name, place) for place, name in enumerate(classes)] + [NamedClass("void", VOID)]
    if find_names(root)[0] is None:
        (root / "classes.txt").write_text("".join(f"{one.value} {one.name}\n" for one in legend), encoding="utf-8")
    return DrawnMasks(legend, remarks)


def _is_class(name: str) -> bool:
    return name.casefold() not in BACKGROUND and not NamedClass(name).is_void


def _json_files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*.json")) if path.name != "dataset.json" and not is_litter(path)]


def _images_by_name(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in image_files(root, deep=True):
        found.setdefault(same_name(path.name), []).append(path)
    return found


def _read(file: Path) -> Any:
    try:
        return from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cut off, or no JSON ({error}); export it again, or move it elsewhere") from error


# COCO.


def _is_coco(content: Any) -> bool:
    return isinstance(content, dict) and all(key in content for key in ("images", "annotations", "categories"))


def _coco(file: Path, content: Any, images: Mapping[str, Sequence[Path]]) -> tuple[dict[Path, Drawing], list[str]]:
    if find_spec("pycocotools") is None:
        raise SegbenchError(f"{file}: COCO's polygons need pycocotools, not installed here: {install_command('coco')}")
    categories = sorted(content["categories"], key=lambda one: int(one["id"]))
    names = {int(one["id"]): str(one["name"]) for one in categories}
    drawings: dict[int, Drawing] = {}
    places: dict[Path, int] = {}
    for entry in content["images"]:
        drawings[entry["id"]] = Drawing((int(entry["height"]), int(entry["width"])), [])
        image = find_image(str(entry["file_name"]), file, images)
        if places.setdefault(image, entry["id"]) != entry["id"]:
            raise DataError(f"{file}: {image} is the image of {places[image]} and of {entry['id']}; export it once")
    for entry in content["annotations"]:
        drawing = drawings[entry["image_id"]]
        if entry.get("segmentation"):
            drawing.shapes.append(_coco_shape(file, names[entry["category_id"]], entry, drawing.size))
    if content["annotations"] and not any(drawing.shapes for drawing in drawings.values()):
        raise DataError(f"{file}: holds boxes alone, no polygons and no masks; export these")
    return {image: drawings[number] for image, number in places.items()}, list(names.values())


def _coco_shape(file: Path, name: str, entry: Mapping[str, Any], size: tuple[int, int]) -> Shape:
    """Return the area of an annotation: polygons, or run lengths as numbers or packed into a text."""
    from pycocotools import mask as coco_masks

    segmentation, (height, width) = entry["segmentation"], size
    if isinstance(segmentation, list):
        polygons = [[float(part) for part in polygon] for polygon in segmentation if len(polygon) >= 6]
        is_cut = any(_reaches_out(polygon[::2], polygon[1::2], size) for polygon in polygons)
        area = sum(_polygon_area(polygon[::2], polygon[1::2]) for polygon in polygons)

        def draw() -> NDArray[np.bool_]:
            if not polygons:
                return np.zeros(size, dtype=bool)
            return _decode(coco_masks.merge(coco_masks.frPyObjects(polygons, height, width)))

        return Shape(name, area, is_cut, draw)
    if list(segmentation["size"]) != [height, width]:
        raise DataError(f"{file}: a mask of {segmentation['size']} for an image of {[height, width]} (height, width)")
    packed = segmentation
    if isinstance(segmentation["counts"], list):
        packed = coco_masks.frPyObjects(segmentation, height, width)
    return Shape(name, float(coco_masks.area(packed)), False, lambda: _decode(packed))


def _decode(runs: Any) -> NDArray[np.bool_]:
    from pycocotools import mask as coco_masks

    with catch_warnings(action="ignore", category=DeprecationWarning):  # of pycocotools under numpy 2
        decoded: NDArray[np.bool_] = coco_masks.decode(runs).astype(bool)
    return decoded


# LabelMe.


def _is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and "shapes" in content and "imagePath" in content


def _labelme(file: Path, content: Any, images: Mapping[str, Sequence[Path]]) -> tuple[dict[Path, Drawing], list[str]]:
    image = find_image(str(content["imagePath"]), file, images)
    size = int(content["imageHeight"]), int(content["imageWidth"])
    areas = [one for one in content["shapes"] if one.get("shape_type", "polygon") in AREAS]
    shapes = [_labelme_shape(one, size) for one in areas]
    return {image: Drawing(size, shapes)}, sorted(shape.name for shape in shapes)


def _labelme_shape(entry: Mapping[str, Any], size: tuple[int, int]) -> Shape:
    points = [(float(x), float(y)) for x, y in entry["points"]]
    form = entry.get("shape_type", "polygon")
    if form == "circle":
        (x, y), edge = points
        radius = float(np.hypot(edge[0] - x, edge[1] - y))
        points = [(x - radius, y - radius), (x + radius, y + radius)]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    corners = [(min(xs), min(ys)), (max(xs), max(ys))]

    def draw() -> NDArray[np.bool_]:
        canvas = Image.new("1", size[::-1])
        pen = ImageDraw.Draw(canvas)
        if form == "polygon":
            pen.polygon(points, fill=1, outline=1)
        else:
            (pen.ellipse if form == "circle" else pen.rectangle)(corners, fill=1, outline=1)
        return np.asarray(canvas)

    area = _polygon_area(xs, ys) if form == "polygon" else float(np.ptp(xs) * np.ptp(ys))
    return Shape(str(entry["label"]), area, _reaches_out(xs, ys, size), draw)


# How files are told, and what reads them.
READERS = ((_is_coco, _coco), (_is_labelme, _labelme), (is_label_studio, read_label_studio))


# All.


def _polygon_area(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the area within a polygon, by the shoelace formula.

    >>> _polygon_area([0, 3, 3, 0], [0, 0, 2, 2])
    6.0
    """
    return float(abs(np.dot(xs, np.roll(ys, 1)) - np.dot(ys, np.roll(xs, 1))) / 2)


def _reaches_out(xs: Sequence[float], ys: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether a point lies outside an image by more than the pixel that tools are often off by."""
    height, width = size
    return min(*xs, *ys) < -1 or max(xs) > width + 1 or max(ys) > height + 1


def _write(root: Path, drawings: Mapping[Path, Drawing], ids: Mapping[str, int]) -> list[str]:
    """Write all masks, or none if that fails, and return what is to be said of them."""
    places, about_folders = _place(root, drawings)
    with _writing(root / MASKS) as folder:
        overlapping = _save(folder, places, drawings, ids)
        if about_folders:
            _link_images(root / IMAGES, places)
    remarks = _remarks(root, drawings)
    if overlapping:
        named = list_some(overlapping)
        remarks.append(f"shapes of different classes overlap in {len(overlapping)} images, the smaller on top: {named}")
    return remarks + about_folders


def _save(
    folder: Path, places: Mapping[Path, str], drawings: Mapping[Path, Drawing], ids: Mapping[str, int]
) -> list[str]:
    """Save masks, and return the names of the images on which shapes of different classes overlap."""
    overlapping = []
    for image, place in places.items():
        file = folder / f"{place}.png"
        if file.exists():
            raise DataError(f"{image}: another image has the stem {image.stem!r}; their masks would be one file")
        file.parent.mkdir(parents=True, exist_ok=True)
        mask, overlaps = _draw(drawings[image], ids)
        mask.save(file)
        if overlaps:
            overlapping.append(image.name)
    return overlapping


def _link_images(folder: Path, places: Mapping[Path, str]) -> None:
    with _writing(folder) as links:
        for image, place in places.items():
            (links / place).parent.mkdir(parents=True, exist_ok=True)
            link(links / f"{place}{image.suffix}", image)


def _pattern(root: Path, image: Path) -> str:
    return split_pattern(image.parent.relative_to(root).as_posix())[0]


def _place(root: Path, images: Iterable[Path]) -> tuple[dict[Path, str], list[str]]:
    """Return where the mask of each image lies, without its ending, and what is to be said of several folders."""
    folders = {image: image.parent.relative_to(root).as_posix() for image in images}
    patterns = {image: split_pattern(folder) for image, folder in folders.items()}
    without = [image for image, (_, split) in patterns.items() if not split]
    if without:
        patterns = {image: (folder, "") for image, folder in folders.items()}
    if len({pattern for pattern, _ in patterns.values()}) == 1:
        return {image: f"{split}/{image.stem}".lstrip("/") for image, (_, split) in patterns.items()}, []
    shared = posixpath.commonpath([pattern for pattern, _ in patterns.values()])
    places = {}
    for image, (pattern, split) in patterns.items():
        parts = PurePosixPath(pattern).relative_to(shared).parts
        name = "_".join([*filter(None, (part.replace(SPLIT, "").strip("_-") for part in parts)), image.stem])
        places[image] = f"{split}/{name}".lstrip("/")
    remarks = [f"images of several folders are linked in {root / IMAGES}/, each by folder and name"]
    if 0 < len(without) < len(folders):
        outside = list_some([image.name for image in without])
        remarks.append(f"folders are not taken for splits, as some images lie in none: {outside}")
    return places, remarks


@contextmanager
def _writing(folder: Path) -> Iterator[Path]:
    """Give a folder that takes the place of a missing or empty one if nothing fails."""
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} holds something already, so nothing can be drawn there; remove it, or move it away")
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial)
        raise
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)


def _draw(drawing: Drawing, ids: Mapping[str, int]) -> tuple[Image.Image, bool]:
    """Return the label map of an image, and whether shapes of different classes overlap in it."""
    labels = np.zeros(drawing.size, dtype=np.uint8)
    overlaps = False
    for shape in sorted(drawing.shapes, key=lambda shape: -shape.area):
        label = ids.get(shape.name, VOID if NamedClass(shape.name).is_void else 0)
        try:
            area = shape.draw()
            below = labels[area]
        except ValueError as error:
            raise DataError(
                f"a mask of {shape.name!r} cannot be drawn: {error}; export the annotations again"
            ) from error
        overlaps |= bool(((below != 0) & (below != label)).any())
        labels[area] = label
    return Image.fromarray(labels), overlaps


def _remarks(root: Path, drawings: Mapping[Path, Drawing]) -> list[str]:
    cut = [image.name for image, drawing in drawings.items() if any(shape.is_cut for shape in drawing.shapes)]
    empty = [image.name for image, drawing in drawings.items() if not drawing.shapes]
    remarks = [f"drew {len(drawings)} masks of shapes into {root / MASKS}/; pixels of none are background"]
    if cut:
        remarks.append(f"shapes of {len(cut)} images reach outside them and were cut off there: {list_some(cut)}")
    if empty:
        remarks.append(f"{len(empty)} images have no shape, so they are background alone: {list_some(empty)}")
    return remarks
