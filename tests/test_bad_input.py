"""What a user can get wrong in data and protocol: one clear message, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
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

    def run(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "segbench", "run", "bench.yaml", "--device", "cpu"]
        return subprocess.run(command, cwd=self.folder, env=os.environ, capture_output=True, text=True, check=False)


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
def test_a_mistake_in_the_data_is_one_clear_message(tmp_path, case):
    make, fragments = CASES[case]
    project = Project(tmp_path)
    make(project)
    result = project.run()
    assert result.returncode == 2, result.stderr
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    for fragment in fragments:
        assert fragment in message
