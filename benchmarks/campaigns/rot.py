"""Damage to any kept file: the next command says so, or its numbers are the ones that were written."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from small_run import environment, interrupted, require_outcome, resume, undisturbed
from trial import Fault, call, copy_of, damage_bytes, files_of, require

FULL, SHORT, SECONDS = 200, 6, 600


def prepare() -> None:
    """Run undisturbed and killed, once for all trials."""
    interrupted()


def attempt(folder: Path, rng) -> None:
    """Damage one file of a finished or of a killed run, use it, and run again."""
    key = undisturbed().key
    template = rng.choice([undisturbed().folder, undisturbed().folder, interrupted()])
    copy = copy_of(template, folder / "copy")
    kept = [path for place in ("results", "cache") for path in files_of(copy / place)]
    path = rng.choice(kept)
    damaged = damage_bytes(path.read_bytes(), rng)
    path.write_bytes(damaged)
    said = f"damaged: {path.relative_to(copy)}, {len(damaged)} bytes\n"
    if template is undisturbed().folder:
        said += use(copy, key)
    answer = resume(copy)
    said += str(answer)
    if answer.code != 0:
        require(answer.code == 2 and path.name in answer.err, said)
        return
    # A finished run reads its record and counts; what `use` has been told of may stay damaged.
    require_outcome(copy, key, said, besides=path.name)


def use(folder: Path, key: str) -> str:
    """Report, rescore and predict from kept files; Fault for a number or label map that is another without a word."""
    variables = environment(folder)
    said = ""
    for command in (("report", "--format", "json"), ("rescore", "--json")):
        answer = call(folder, *command, **variables)
        said += f"{answer.command} {answer.code} {answer.err}\n"
        silent = answer.code == 0 and not answer.err and answer.out and '"problems": []' in answer.out
        if silent or (command[0] == "rescore" and answer.code == 0 and not answer.err):
            found, expected = scores(answer.out), expected_scores(command)
            require(not found or found == expected, f"{said}\n{found} instead of {expected}")
    answer = call(folder, "predict", key, "photo.png", "-o", "again", **variables)
    if answer.code == 0 and not answer.err:
        same = (folder / "again" / "photo.png").read_bytes() == (folder / "predicted" / "photo.png").read_bytes()
        require(same, f"another label map\n{answer}")
    return said + str(answer)


@cache
def expected_scores(command: tuple[str, ...]) -> list[object]:
    """Return what a command says of files that nothing has damaged."""
    folder = undisturbed().folder
    return scores(call(folder, *command, **environment(folder)).out)


def scores(text: str) -> list[object]:
    """Return all numbers of a JSON text that are scores, with where they stand."""

    def walk(value: object, place: str) -> list[object]:
        if isinstance(value, dict):
            return [found for key, inner in value.items() for found in walk(inner, f"{place}/{key}")]
        if isinstance(value, list):
            return [found for inner in value for found in walk(inner, place)]
        is_score = any(name in place for name in ("miou", "iou", "accuracy", "scores", "conventions"))
        return [(place, value)] if is_score and isinstance(value, float) else []

    try:
        return walk(json.loads(text), "")
    except ValueError:
        raise Fault(f"no JSON: {text[:1000]}") from None
