"""Output in any encoding: every command prints, and what it prints can be read."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from crafted_records import recorded
from small_run import environment
from trial import call, copy_of, program, require

FULL, SHORT, SECONDS = 300, 10, 300
ENCODINGS = (
    *("ascii", "latin-1", "iso8859-2", "iso8859-15", "cp1252", "cp1251", "cp437", "cp850", "koi8-r", "mac-roman"),
    *(
        "shift_jis",
        "euc-jp",
        "iso2022-jp",
        "gbk",
        "gb18030",
        "big5",
        "euc-kr",
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-32",
    ),
)
COMMANDS = [
    *(["report", *more] for more in ([], ["--full"], ["--explain"], ["--pairs"], ["--per-class"])),
    *(["report", "--format", name] for name in ("markdown", "csv", "latex", "json")),
    *(["compare", "critic", "méthode 字 Ω"], ["rescore"], ["plan", "bench.yaml"], ["list"], ["--help"]),
    *(["show", "loss", "losses/dice"], ["run", "bench.yaml"], ["prepare", "data/shapes"], ["plan", "字.yaml"]),
    ["predict", "critic@latest", "photo.png", "-o", "ausgänge 字"],
]  # fmt: skip
NAMES = ["ĥintergrund ±", "кот → 猫", "e\u0301 😀"]


def prepare() -> None:
    """Record the cells once for all trials."""
    recorded()


def attempt(folder: Path, rng) -> None:
    """Print one command in one encoding."""
    copy = copy_of(recorded(), folder / "copy")
    for path in (copy / "results" / "small").glob("*.json"):
        path.write_text(path.read_text().replace('"plain"', json.dumps("méthode 字 Ω")))
        record = json.loads(path.read_text())
        record["evaluated"]["classes"] = NAMES
        path.write_text(json.dumps(record))
    command, encoding = rng.choice(COMMANDS), rng.choice(ENCODINGS)
    wanted = (2,) if command[-1] == "字.yaml" else (0,)
    if rng.random() < 0.1:
        answer = subprocess.run(
            [*program(), *command],
            cwd=copy,
            env=os.environ | environment(copy) | {"PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
        )
        said = f"{command} in {encoding}: {answer.returncode}, {answer.stdout!r} {answer.stderr!r}"
        require(answer.returncode in wanted and b"a bug in segbench" not in answer.stderr, said)
    else:
        answer = call(copy, *command, encoding=encoding, **environment(copy))
        require(answer.code in wanted, f"{encoding}: {answer}")
