"""Label Studio's export "Brush labels to PNG": a mask of each region, and the JSON export that says of which image.

Masks are called task-TASK-annotation-ANNOTATION-by-USER-TAG-LABEL-NUMBER.png and hold the opacity of the brush, between
0 and 255 at its edges: `save_brush_images_from_annotation` in converter/brush.py of label_studio_sdk 2.1.2, `exportRLE`
in web/libs/editor/src/utils/canvas.js of Label Studio. The JSON has the images by task, as its makers say in
github.com/HumanSignal/label-studio/issues/8561.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from segbench.errors import DataError
from segbench.images import read_mask
from segbench.images.files import IMAGE_ENDINGS
from segbench.images.opening import read_header

from .layout import MASK_OF_TASK
from .masks import STORED
from .shapes import Drawing, Shape, find_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    # The masks of an annotation, each with its tag and label.
    Masks = list[tuple[str, Path]]

# Opacity from which on more than half of a pixel is painted.
PAINTED = 128
# Regions without a mask that cover an area. Boxes and points are often but hints for what paints masks.
WITHOUT_MASK = ("polygonlabels", "ellipselabels", "polygon", "ellipse")


def is_label_studio(content: Any) -> bool:
    """Whether the content of a file is that of a JSON export, tasks with their annotations."""
    return isinstance(content, list) and all(isinstance(one, dict) and "annotations" in one for one in content)


def read_label_studio(
    file: Path, content: Any, images: Mapping[str, Sequence[Path]]
) -> tuple[dict[Path, Drawing], list[str]]:
    """Return what masks draw on the images of a JSON export, and the names of classes.

    Of several annotations of a task the newest counts, as one that was cancelled does not. Raises DataError for masks
    that are missing, or that the file does not know.
    """
    masks = _masks_by_annotation(images)
    drawings: dict[Path, Drawing] = {}
    names: list[str] = []
    for task in content if masks else ():
        kept = [one for one in task["annotations"] if not one.get("was_cancelled")]
        if not kept:
            continue
        newest = max(kept, key=lambda one: str(one.get("created_at", "")))
        image = find_image(_image_name(file, task), file, images)
        if image in drawings:
            raise DataError(f"{file}: {image} is the image of several tasks; delete all but one and export anew")
        drawings[image] = _draw(file, image, newest, masks.get((int(task["id"]), int(newest["id"])), []))
        names += [shape.name for shape in drawings[image].shapes]
    return drawings, sorted(names)


def _masks_by_annotation(images: Mapping[str, Sequence[Path]]) -> dict[tuple[int, int], Masks]:
    found: dict[tuple[int, int], Masks] = {}
    for name in sorted(images):
        if parts := MASK_OF_TASK.fullmatch(name):
            task, annotation, layer = int(parts[1]), int(parts[2]), parts[3]
            found.setdefault((task, annotation), []).extend((layer, path) for path in images[name])
    return found


def _image_name(file: Path, task: Mapping[str, Any]) -> str:
    """Return the path of a task's image: that of an address, or of a local file that an address asks for."""
    for value in task["data"].values():
        address = urlsplit(value) if isinstance(value, str) else urlsplit("")
        path = parse_qs(address.query).get("d", [unquote(address.path)])[0]
        if path.lower().endswith(IMAGE_ENDINGS):
            return path
    raise DataError(f"{file}: task {task['id']} names no image ({', '.join(IMAGE_ENDINGS)})")


def _draw(file: Path, image: Path, annotation: Mapping[str, Any], masks: Masks) -> Drawing:
    where = f"{file}: annotation {annotation['id']} of {image.name}"
    labels = dict(_labels(where, annotation["result"]))
    if missing := labels.keys() - {layer for layer, _ in masks}:
        raise DataError(f"{where} has a region {min(missing)!r}, and no PNG holds it; export JSON and PNGs anew")
    if unknown := [path.name for layer, path in masks if layer not in labels]:
        raise DataError(f"{where} does not know {unknown[0]}; export JSON and PNGs anew")
    painted = [(labels[layer], path, _read(path)) for layer, path in masks]
    if beside := [path for _, path, _ in painted if path.parent == image.parent]:
        raise DataError(f"{beside[0]} lies among the images; move Label Studio's masks into a folder of their own")
    width, height = read_header(image).shown
    shapes = [_shape(where, name, path, mask, (height, width)) for name, path, mask in painted]
    return Drawing((height, width), shapes)


def _labels(where: str, regions: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the class of each region that has a mask, by what its PNG is called after tag and label."""
    for region in regions:
        kind, value = str(region.get("type", "")).lower(), region.get("value", {})
        if kind in WITHOUT_MASK:
            form = kind.removesuffix("labels")
            raise DataError(f"{where} has a region of the form {form}, which PNGs leave out; export as COCO instead")
        if kind in ("brushlabels", "labels") and "rle" in value:
            labels = value.get(kind)
            layer = f"{region['from_name']}-{'-'.join(labels or ['no_label'])}"
            yield re.sub(r"[/\\]", "-", layer), "-".join(labels or ["unlabelled"])


def _read(path: Path) -> NDArray[np.bool_]:
    """Return the pixels (H, W) that a mask paints."""
    painted: NDArray[np.bool_] = read_mask(path, STORED) >= PAINTED
    return painted


def _shape(where: str, name: str, path: Path, mask: NDArray[np.bool_], size: Sequence[int]) -> Shape:
    if mask.shape != tuple(size):
        raise DataError(f"{where}: {path.name} is {mask.shape}, the image {tuple(size)} (height, width); export anew")
    return Shape(name, float(np.count_nonzero(mask)), False, lambda: _read(path))
