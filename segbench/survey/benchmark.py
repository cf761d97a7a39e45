"""A benchmark file for a folder: a strong supervised method, a critic beside it, and the critic's placebo."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.config.yaml import Place, read_text
from segbench.contract import SPLITS
from segbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .survey import Survey

# Below so many images a split of its own for tests is too small to tell methods apart.
FEW_IMAGES = 150
FOLDS = 5
# Crops are multiples of the stride of the network, 32, up to a size at which a batch fits small GPUs.
STRIDE, LARGEST_CROP = 32, 512
BATCH = 8
# So often training passes over the images, within bounds that neither few nor many images move.
PASSES, LEAST_STEPS, MOST_STEPS = 100, 2000, 20_000
GROUPS = (
    "  # Images that belong together (one patient, one place) should be in one split: list them in splits/train.txt,",
    "  # val.txt and test.txt, and take folds away.",
)
METHODS = """\
methods:
  unet:
    generator:
      use: smp/unet
      encoder: tu-resnet10t
      encoder_weights: none  # imagenet: pretrained, from the hub
      decoder_channels: [128, 64, 32, 16, 16]
    losses: [losses/cross_entropy]
  unet+critic:
    extends: unet  # its twin: the same without the critic
    discriminator: gan/patchgan
    adversarial: {use: gan/hinge, weight: {ratio: 0.1}}  # a tenth of the supervised gradient
compare:
  - {claim: unet+critic, against: unet, placebo: [frozen]}  # frozen: a critic that is never trained
"""
SEEDS = {True: (0, 1, 2), False: (0, 1, 2, 3, 4)}  # by whether there are folds, which take five times as many cells


def write_benchmark(name: str, root: str, survey: Survey, options: Mapping[str, Any], absent: Sequence[str]) -> str:
    """Return the text of a benchmark file.

    `root` is the folder as the file names it, `options` are those of its component; `absent` are classes that not every
    training can be sure to see.
    """
    folds = has_folds(survey)
    total = sum(survey.splits.values())
    steps = choose_steps(total * (FOLDS - 1) // FOLDS if folds else survey.splits.get("train", total))
    dataset = {"use": survey.use, "root": root, **options} | ({"folds": FOLDS} if folds else {})
    lines = [
        f"# Does a critic help a U-Net on {name}, or would a critic that knows nothing have done the same?",
        f"# Written by `segbench init`, which found {describe_images(survey)}.",
        "# Try it first with --seeds 0 --set protocol.budget.steps=20; `segbench plan` says what a run can show.",
        f"name: {name}",
        "datasets:",
        f"  # {describe_splits(survey)}",
        *([] if survey.is_split else GROUPS),
        f"  {name}: {to_yaml(dataset)}",
        "protocol:",
        f"  budget: {{steps: {steps}}}  # more, if the curves of the report still fall at its end",
        f"  batch_size: {BATCH}",
        f"  crop: {to_yaml(choose_crop(survey.sizes))}  # height and width; smaller where memory is short",
        "  augment: {scale: [0.75, 1.5], flip: true, jitter: 0.2}",
        "  optimizer: {use: adamw, lr: 1e-3}",
        f"  schedule: {{use: poly, warmup_steps: {steps // 10}}}",
        "  clip_gradient: 1.0",
        *([] if folds or "test" in survey.splits else ["  evaluate: val  # there is no split test"]),
        *([f"  absent_classes: allow  # not in every training set: {', '.join(absent)}"] if absent else []),
        f"seeds: {to_yaml(list(SEEDS[folds]))}",
        METHODS,
    ]
    return "\n".join(lines)


def has_folds(survey: Survey) -> bool:
    """Whether so few images are cross-validated, as no files say which are tested, or none of them is."""
    return sum(survey.splits.values()) < FEW_IMAGES and not (survey.is_split and "test" in survey.splits)


def choose_steps(images: int) -> int:
    """Return the steps of a training on so many images, in whole thousands.

    >>> choose_steps(20), choose_steps(367), choose_steps(5000)
    (2000, 5000, 20000)
    """
    return min(max(round(PASSES * images / BATCH / 1000) * 1000, LEAST_STEPS), MOST_STEPS)


def choose_crop(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Return height and width of a crop, which nine images in ten are large enough for.

    >>> choose_crop([(360, 480)] * 9 + [(20, 20)]), choose_crop([(10, 2000)])
    ([352, 480], [32, 512])
    """
    tenths = [sorted(side)[len(side) // 10] for side in zip(*sizes, strict=True)]
    return [max(STRIDE, min(length, LARGEST_CROP) // STRIDE * STRIDE) for length in tenths]


def describe_images(survey: Survey) -> str:
    """Say how many images of which sizes there are."""
    areas = sorted(survey.sizes, key=lambda size: size[0] * size[1])
    ends = list(dict.fromkeys(f"{width}x{height}" for height, width in (areas[0], areas[-1])))
    return f"{len(survey.sizes)} images of {' to '.join(ends)} pixels"


def describe_splits(survey: Survey) -> str:
    """Say what is tested: each image by folds, or a split and who chose it."""
    if has_folds(survey):
        return f"few, so {FOLDS} folds test each of them once"
    counts = ", ".join(f"{survey.splits[split]} {split}" for split in SPLITS if split in survey.splits)
    return counts if survey.is_split else f"{counts}, dealt by a hash of their names"


def to_yaml(value: Any) -> str:
    """Return a value as YAML in one line, text plain where that is safe.

    >>> to_yaml({"use": "data/folder", "images": "{split}", "classes": ["no", "yes", "on the road", "1"]})
    '{use: data/folder, images: "{split}", classes: [no, yes, on the road, "1"]}'
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{to_yaml(str(key))}: {to_yaml(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_yaml, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = re.fullmatch(r"[A-Za-z0-9_./~-]([A-Za-z0-9_./+ -]*[A-Za-z0-9_./+-])?", value)
    return value if is_plain and _reads_as(value) else json.dumps(value, ensure_ascii=False)


def _reads_as(text: str) -> bool:
    """Whether a plain text is read as itself, and not as a number or the like."""
    with suppress(SpecError):
        return read_text(text, Place("", Path())).value == text
    return False
