"""Names of any script and length, with what steers shells, terminals and templates in them: all works or is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from trial import call, require

FULL, SHORT, SECONDS = 60, 3, 300
PIECES = [
    *("photo", "字" * 30, "e\u0301", "\u00e9", "عربى", "😀", "ß", "İ", " ", "  ", "a" * 200, "x" * 80, "0", "-1"),
    *("=cmd|'x'!A0", "--help", "-o", "[bold]", "%s", "{x}", "$(touch x)", "`x`", "&", "|", "*", "?", "#", "'", '"'),
    *("\\", "\n", "\x1b[31m", "\x07", "\x7f", "\x9b", "\u202e", "\u200b", "\ufeff", ".", "..", "~", "CON", "a:b", "<"),
]  # fmt: skip
RAW = [b"\xff\xfe", b"caf\xe9", b"\x80"]


def attempt(folder: Path, rng) -> None:
    """Prepare, plan, run, report and predict a dataset whose files, classes and methods have such names."""
    make_dataset(folder / "data", rng)
    (folder / "bench.yaml").write_text(json.dumps(benchmark(rng)))
    option = f"classes={json.dumps([name(rng), name(rng)])}"
    require_answer(call(folder, "prepare", "data/folder", "--root", "data", "--option", option))
    if require_answer(call(folder, "plan", "bench.yaml")).code == 2:
        return
    answer = call(folder, "run", "bench.yaml", "--device", "cpu")
    require_answer(answer)
    if answer.code == 0:
        [record] = folder.glob("results/*/*.json")
        form = rng.choice(["table", "markdown", "csv", "latex", "json"])
        require(call(folder, "report", "--format", form).code == 0, answer)
        require_answer(call(folder, "predict", record.stem, "data/images", "-o", name(rng).replace("/", "")))


def require_answer(answer):
    """Raise Fault unless a command went well or was refused."""
    require(answer.code in (0, 2), answer)
    return answer


def name(rng) -> str:
    """Return a name of a few pieces."""
    return "".join(rng.choice(PIECES) for _ in range(rng.choice([1, 1, 2, 3])))


def make_dataset(root: Path, rng) -> None:
    """Write six pairs with such names where the file system takes them."""
    for place in ("images", "masks"):
        (root / place).mkdir(parents=True)
    mask = np.zeros((16, 16), np.uint8)
    mask[:5] = 1
    for index in range(6):
        stem = os.fsencode(f"{index}{name(rng)}") + (rng.choice(RAW) if rng.random() < 0.05 else b"")
        file = os.fsdecode(stem[:250].decode(errors="ignore").encode() if len(stem) > 250 else stem) + ".png"
        Image.new("RGB", (16, 16), (index, 2, 3)).save(root / "images" / file)
        Image.fromarray(mask).save(root / "masks" / file)


def benchmark(rng) -> dict[str, object]:
    """Return a benchmark of one small method with such names."""
    classes = rng.sample([name(rng) for _ in range(20)] + ["background", "thing"], 2)
    method = {"generator": {"use": "basic/fcn", "width": 4}, "losses": ["losses/cross_entropy"]}
    return {
        "name": rng.choice(["bench", name(rng)]),
        "datasets": {rng.choice(["mine", name(rng)]): {"use": "data/folder", "root": "data", "classes": classes}},
        "protocol": {
            "budget": {"steps": 1},
            "batch_size": 1,
            "crop": [8, 8],
            "timing": "none",
            "keep": {"model": "last"},
        },
        "seeds": [0],
        "methods": {name(rng): method},
    }
