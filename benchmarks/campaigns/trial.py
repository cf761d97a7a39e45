"""What all campaigns share: segbench called in this process, what it must never say, and damage chosen by a seed."""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import signal
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from segbench.cli import main

MOST_LINES, MOST_CHARACTERS = 12, 6000  # of a message
BIDIRECTIONAL = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Fault(Exception):
    """What a trial found that should not be, and what it has counted."""

    def __init__(self, message: str, tally: Mapping[str, int] | None = None) -> None:
        super().__init__(message)
        self.tally = Counter(tally or {})


class Late(BaseException):
    """A trial has taken too long; no `except Exception` of segbench may catch it."""


@dataclass
class Answer:
    """How a command ended: exit code, stdout, stderr, seconds of CPU time of this process."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    def __str__(self) -> str:
        return f"segbench {' '.join(self.command)}: exit {self.code}, {self.seconds:.1f} s\n{self.out}{self.err}"


def call(folder: Path, *arguments: str, encoding: str = "utf-8", **environment: str) -> Answer:
    """Run a command in this process, in a folder; Fault for an answer that nobody should get."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, "strict", newline="\n") for _ in range(2))
    start = time.process_time()
    with mock.patch.dict(os.environ, environment), chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    seconds = time.process_time() - start
    texts = (stream.detach().getvalue().decode(encoding, "replace") for stream in flushed(out, err))
    answer = Answer(arguments, code, *texts, seconds)
    judge(answer)
    return answer


def flushed(*streams: io.TextIOWrapper) -> tuple[io.TextIOWrapper, ...]:
    """Return the streams with all their text written."""
    for stream in streams:
        stream.flush()
    return streams


def judge(answer: Answer) -> None:
    """Raise Fault for a traceback, a bug, text that steers a terminal, or a message that fills a screen."""
    text = answer.out + answer.err
    for bad in ("Traceback (most recent call last)", "a bug in segbench"):
        require(bad not in text, f"{bad!r} in {answer}")
    steering = {c for c in text if (unicodedata.category(c) == "Cc" and c not in "\n\t") or c in BIDIRECTIONAL}
    require(not steering, f"{steering} in {answer}")
    message = answer.err[answer.err.find("error: ") :] if answer.code == 2 and "error: " in answer.err else ""
    long = len(message.splitlines()) > MOST_LINES or len(message) > MOST_CHARACTERS
    require(not long, f"a message of {len(message)} characters: {answer}")


def require(holds: bool, otherwise: object, tally: Mapping[str, int] | None = None) -> None:
    """Raise Fault unless something holds."""
    if not holds:
        raise Fault(str(otherwise), tally)


@contextmanager
def time_limit(seconds: float):
    """Raise Late in this block when its time is up, also out of a wait."""

    def give_up(*_: object) -> None:
        raise Late(f"no end within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# What nobody expects, as JSON has it. What stands for a deep value is replaced in the text, which json cannot write.
DEEP = "@deep@"
UNEXPECTED = [
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e-320, 1e308, 2**31, 2**63, 10**9, 10**18, 10**400, -(10**30)),
    *("", " ", "0", "null", "nan", "1e999", "all", "latest", "a" * 3000, "字" * 300, "e\u0301", "\u202eevil", "\ud800"),
    *("\x1b[31mred", "\x1b]52;c;aGk=\x07", "\x9b2J", "a\nb\tc\rd", "\x00", "=cmd|' /C calc'!A0", "+1", "@SUM(A1)"),
    *("/etc/passwd", "../../../../etc/passwd", "/proc/self/mem", "/dev/zero", "~nobody/x", "$HOME", "x/" * 2000, "."),
    *("data/shapes", "basic/fcn", "losses/cross_entropy", "gan/hinge", "fcn", "[bold]", "{x}", "%s", "\\", "'", '"'),
    *([], {}, [[]], [None], {"": None}, {"use": "basic/fcn"}, [0, 0], [1, 1], [10**8, 10**8], [-1, -1], [0] * 300),
    *({"use": "x" * 500}, {str(i): i for i in range(300)}, [{"use": "gan/r1"}] * 3, DEEP, [DEEP], {"use": DEEP}),
]  # fmt: skip


def damage_tree(tree: object, rng) -> object:
    """Return a copy of a tree of lists and dictionaries with one to three faults in it."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = list(find_places(tree))
        if places:
            damage_place(places, rng)
    return tree


def find_places(tree: object):
    """Yield every (container, key) of a tree."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from find_places(value)


def damage_place(places: list, rng) -> None:
    """Remove, rename, repeat, wrap or exchange what is at one place of a tree, or put something unexpected there."""
    container, key = rng.choice(places)
    value = container[key]
    fault = rng.choice(["replace"] * 5 + ["remove", "rename", "wrap", "other", "number"])
    if fault == "remove":
        del container[key]
    elif fault == "rename" and isinstance(container, dict):
        container[str(rng.choice(UNEXPECTED))] = container.pop(key)
    elif fault == "wrap":
        container[key] = rng.choice([[value], {"use": value}, [value] * 2, str(value)])
    elif fault == "other":
        other, place = rng.choice(places)
        container[key] = copy.deepcopy(other[place])
    elif fault == "number" and isinstance(value, int | float):
        container[key] = value * rng.choice([-1, 0, 0.5, 2, 1000, 10**9, 1e300])
    else:
        container[key] = copy.deepcopy(rng.choice(UNEXPECTED))


def as_json(tree: object) -> bytes:
    """Return a tree as JSON, which is YAML too, with very deep values in it if it has a place for them."""
    text = json.dumps(tree, indent=1).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)
    return text.encode()


def damage_bytes(content: bytes, rng) -> bytes:
    """Return bytes with a flipped bit, a part cut out, repeated or overwritten, a truncated end, or nothing left."""
    place = rng.randrange(len(content) + 1)
    length = rng.choice([1, 2, 4, 16, 256])
    before, part, after = content[:place], content[place : place + length], content[place + length :]
    fault = rng.choice(["bit", "bit", "bit", "truncated", "cut", "repeated", "overwritten", "empty"])
    if fault == "bit" and part:
        return before + bytes([part[0] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
    remains = {"truncated": before, "cut": before + after, "repeated": before + part * 2 + after, "empty": b""}
    return remains.get(fault, before + rng.randbytes(len(part)) + after)


def files_of(folder: Path) -> list[Path]:
    """Return the files below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def copy_of(template: Path, target: Path) -> Path:
    """Copy a folder and return the copy; what is in it has the same times as before."""
    return Path(shutil.copytree(template, target, symlinks=True, ignore=shutil.ignore_patterns("pymp-*")))


def program() -> list[str]:
    """Return the command line of segbench as a process of its own."""
    return [sys.executable, "-m", "segbench"]


def program_of(machine: str) -> list[str]:
    """Return the same of a process that knows nothing of others on this machine, as it takes it for another one."""
    lines = [
        "import sys",
        "from segbench.store import process",
        f"process.machine = lambda: {machine!r}",
        "from segbench.cli import main",
        "sys.exit(main(sys.argv[1:]))",
    ]
    return [sys.executable, "-c", "\n".join(lines)]
