"""Links, pipes and folders in place of any file that is written: what is others' stays untouched, nothing hangs."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from small_run import CHECKPOINT, environment, interrupted, require_outcome, resume, undisturbed
from trial import call, copy_of, files_of, require

FULL, SHORT, SECONDS = 150, 6, 300
PLANTS = ("link to a file", "link to nowhere", "link to a folder", "link to itself", "pipe", "folder", "full folder")


def prepare() -> None:
    """Run undisturbed and killed, once for all trials."""
    interrupted()


def attempt(folder: Path, rng) -> None:
    """Plant something before a run or before commands that read what it left."""
    key = undisturbed().key
    template = rng.choice([undisturbed().folder, undisturbed().folder, interrupted()])
    copy = copy_of(template, folder / "copy")
    theirs = make_theirs(folder / "theirs")
    before = look_at(theirs)
    path = rng.choice(places(copy, key))
    kind = rng.choice(PLANTS)
    plant(path, kind, theirs)
    said = f"{kind} at {path.relative_to(copy)}\n"
    if rng.random() < 0.3:
        said += "".join(str(call(copy, *command, **environment(copy))) for command in readers(key))
    else:
        record = copy / "results" / "small" / f"{key}.json"
        if path != record:
            record.unlink(missing_ok=True)
    answer = resume(copy)
    said += str(answer)
    after = look_at(theirs)
    require(after == before, f"{said}\nnot its own: {before} became {after}")
    require(answer.code == 0 or path.name in answer.err or path.parent.name in answer.err, said)
    if answer.code == 0:
        require_outcome(copy, key, said, besides=path.name)


def places(copy: Path, key: str) -> list[Path]:
    """Return the paths of all files that commands write in a folder, and of the folders that they make.

    Not what `-o` names: whoever names a link wants its target written, as with the shell's `>`.
    """
    benchmark = copy / "results" / "small"
    template = undisturbed().folder
    found = [copy / path.relative_to(template) for name in ("results", "cache") for path in files_of(template / name)]
    found += [benchmark / key, benchmark / key / CHECKPOINT, benchmark / key / ".1.lease", benchmark / ".writable"]
    found += [benchmark / f"{key}.unfinished.json", benchmark / "claims" / f"{key}.json"]
    found += [benchmark / "claims" / ".lock", benchmark / "claims"]
    return [*found, copy / "out" / "photo.png", copy / "out" / "photo.overlay.png"]


def readers(key: str) -> list[tuple[str, ...]]:
    """Return commands that read records and kept files, and write."""
    return [("report", "-o", "out.txt"), ("rescore",), ("predict", key, "photo.png", "-o", "out")]


def make_theirs(folder: Path) -> Path:
    """Make a folder of somebody else with a file and a folder in it."""
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_text("not yours")
    (folder / "file").chmod(0o600)
    return folder


def look_at(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time and content of all that lies in a folder."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.stat().st_mode),
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def plant(path: Path, kind: str, theirs: Path) -> None:
    """Put something in the place of a path, whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind.endswith("folder") and not kind.startswith("link"):
        path.mkdir()
        if kind == "full folder":
            (path / "note.txt").write_text("keep")
    else:
        targets = {"link to a file": "file", "link to nowhere": "inner/gone", "link to a folder": "inner"}
        path.symlink_to(theirs / targets[kind] if kind in targets else path)
