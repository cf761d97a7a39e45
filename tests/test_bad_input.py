"""What a user can get wrong in data and protocol: one clear message, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

BENCHMARK = """\
name: bad-input
datasets: {{mine: {{use: data/folder, root: data, classes: [background, thing]}}}}
protocol: {{budget: {{steps: 1}}, batch_size: {batch_size}, crop: {crop}}}
seeds: [0]
methods:
  fcn: {{generator: {{use: basic/fcn, width: 4}}, losses: [losses/cross_entropy]}}
"""


class Project:
    """A benchmark file beside a folder of images, masks and splits."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        for name in ("images", "masks", "splits"):
            (self.data / name).mkdir(parents=True)
        for index in range(4):
            self.add(f"s{index}")
        self.split("train", "s0", "s1")
        self.split("val", "s2")
        self.split("test", "s3")
        self.benchmark()

    def add(self, stem: str, size: tuple[int, int] = (16, 16), labels: int = 1) -> None:
        Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(self.data / "images" / f"{stem}.png")
        mask = np.zeros(size, np.uint8)
        mask[:4] = labels
        Image.fromarray(mask).save(self.data / "masks" / f"{stem}.png")

    def split(self, name: str, *stems: str) -> None:
        (self.data / "splits" / f"{name}.txt").write_text("\n".join(stems) + "\n")

    def benchmark(self, batch_size: int = 2, crop: str = "[8, 8]") -> None:
        (self.folder / "bench.yaml").write_text(BENCHMARK.format(batch_size=batch_size, crop=crop))

    def remove(self, name: str) -> None:
        (self.data / name).unlink()

    def empty(self) -> None:
        for path in sorted(self.data.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    def truncate(self, name: str) -> None:
        path = self.data / name
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    def keep_one_image(self) -> None:
        self.empty()
        for name in ("images", "masks"):
            (self.data / name).mkdir()
        self.add("only")


CASES = {
    "empty dataset": (lambda project: project.empty(), ["data"]),
    "missing dataset": (lambda project: (project.empty(), project.data.rmdir()), ["data", "root"]),
    "image without mask": (lambda project: project.remove("masks/s0.png"), ["s0"]),
    "mask without image": (lambda project: project.remove("images/s0.png"), ["s0"]),
    "sizes that differ": (
        lambda project: Image.fromarray(np.zeros((9, 16), np.uint8)).save(project.data / "masks" / "s1.png"),
        ["s1", "9", "16"],
    ),
    "label outside the classes": (lambda project: project.add("s1", labels=7), ["s1", "7"]),
    "truncated image": (lambda project: project.truncate("images/s1.png"), ["s1.png"]),
    "truncated mask": (lambda project: project.truncate("masks/s1.png"), ["s1.png"]),
    "split names a missing stem": (lambda project: project.split("train", "s0", "s1", "gone"), ["train", "gone"]),
    "one image only": (lambda project: project.keep_one_image(), ["one image"]),
    "class that never occurs": (
        lambda project: [project.add(f"s{index}", labels=0) for index in range(4)],
        ["'thing'", "never occurs", "absent_classes: allow"],
    ),
    "batch larger than the split": (lambda project: project.benchmark(batch_size=3), ["batch_size 3", "2 images"]),
    "crop larger than the images": (lambda project: project.benchmark(crop="[32, 32]"), ["crop [32, 32]", "[16, 16]"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_in_the_data_is_one_clear_message(tmp_path, segbench, case):
    make, fragments = CASES[case]
    make(Project(tmp_path))
    result = segbench(tmp_path, "run", "bench.yaml", "--device", "cpu")
    assert result.returncode == 2, result.stderr
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    for fragment in fragments:
        assert fragment in message


RECIPES = """\
name: bad-recipe
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 4, val: 2, test: 2}}
protocol: {budget: {steps: 1}, batch_size: 2, crop: [16, 16], threads: 1, validations: 0}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
"""

BATCH_NORM = "{use: gan/patchgan, receptive_field: 16, width: 4, norm: batch}"
REFINER = "{use: refine/unet, width: 2, depth: 1}"
BAD_RECIPES = {
    "a critic that nothing trains": (
        "bad: {extends: base, discriminator: gan/patchgan}",
        ["bad.yaml:7", "methods.bad.discriminator", "no adversarial loss", "adversarial: {use: LOSS"],
    ),
    "an adversarial loss without a critic": (
        "bad: {extends: base, adversarial: gan/hinge}",
        ["bad.yaml:7", "methods.bad.adversarial", "no discriminator", "discriminator: NAME"],
    ),
    "a supervised loss where an adversarial one belongs": (
        "bad: {extends: base, discriminator: gan/patchgan, adversarial: losses/cross_entropy}",
        ["losses/cross_entropy", "'supervised'", "'adversarial'"],
    ),
    "a generator of images without a critic": (
        "bad: {extends: base, generator: gan/dcgan}",
        ["gan/dcgan", "'noise -> image'", "only a discriminator"],
    ),
    "a refiner of nothing": (
        "bad: {extends: base, generator: refine/unet}",
        ["refine/unet", "'image, labels -> labels'", "refines: METHOD"],
    ),
    "a segmenter that refines": (
        "bad: {extends: base, refines: base}",
        ["methods.bad.refines", "'image -> labels'"],
    ),
    "training samples of a segmenter": (
        "bad: {extends: base, trains_on: {synthetic: base}}",
        ["'base' maps 'image -> labels'", "'labels -> image'"],
    ),
    "a cycle": (
        "a: {extends: base, start_from: b}\n  b: {extends: base, start_from: a}",
        ["a -> b -> a", "methods.a.start_from"],
    ),
    "a method that waits for itself": (
        "bad: {extends: base, labels: {fraction: 0.5}, unlabelled: {pseudo_labels_from: bad}}",
        ["bad -> bad", "pseudo_labels_from"],
    ),
    "a gradient penalty on a critic with batch norm": (
        f"bad: {{extends: base, discriminator: {BATCH_NORM}, adversarial: {{use: gan/hinge, penalty: gan/r1}}}}",
        ["method 'bad'", "gan/r1", "normalises over the batch", "norm: none"],
    ),
    "the usual penalty on a critic with batch norm": (
        f"bad: {{extends: base, discriminator: {BATCH_NORM}, adversarial: gan/wgan_gp}}",
        ["method 'bad'", "gan/gradient_penalty", "normalises over the batch", "norm: none"],
    ),
    "more folds than images": (
        f"bad: {{extends: base, generator: {REFINER}, refines: {{method: base, folds: 9}}}}",
        ["4 labelled images", "9 folds", "refines.folds to at most 4"],
    ),
    "more folds than labelled images at one of the fractions": (
        f"bad: {{extends: base, generator: {REFINER}, labels: {{fraction: [1, 0.5]}}, "
        "refines: {method: base, folds: 3}}",
        ["2 labelled images", "3 folds", "labels.fraction"],
    ),
    "trust in a critic that is not there": (
        "bad: {extends: base, labels: {fraction: 0.5}, unlabelled: gan/semi_adversarial}",
        ["method 'bad'", "the method has none"],
    ),
    "scores of classes for a loss of single scores": (
        "bad: {extends: base, discriminator: {use: gan/unet, width: 4}, adversarial: gan/hinge}",
        ["method 'bad'", "4 scores a pixel", "gan/per_pixel_classes"],
    ),
    "a critic whose channels do not fit": (
        "bad: {extends: base, discriminator: {use: gan/largefov, image_channels: 20}, adversarial: gan/hinge}",
        ["method 'bad'", "image_channels is 20", "the input has 6 channels"],
    ),
    "a critic that is too deep for the crop": (
        "bad: {extends: base, discriminator: {use: gan/patchgan, receptive_field: 286}, adversarial: gan/hinge}",
        ["method 'bad'", "16 x 16", "96 x 96"],
    ),
}


@pytest.mark.parametrize("case", BAD_RECIPES)
def test_a_mistake_in_an_adversarial_recipe_is_one_clear_message(tmp_path, segbench, case):
    methods, fragments = BAD_RECIPES[case]
    (tmp_path / "bad.yaml").write_text(f"{RECIPES}  {methods}\n")
    result = segbench(tmp_path, "run", "bad.yaml", "--device", "cpu")
    assert result.returncode == 2, result.stderr
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert not list(tmp_path.glob("results/*/*.json"))
    for fragment in fragments:
        assert fragment in message
