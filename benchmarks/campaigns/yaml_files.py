"""Benchmark files with faults: `plan` takes them or says in a few lines what is wrong, within a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ruamel.yaml import YAML
from trial import as_json, call, damage_bytes, damage_tree, require

FULL, SHORT, SECONDS = 5000, 150, 60
CPU_SECONDS = 1.0
LINES = [
    *("<<: *x", "&x a: *x", "a: &x [*x]", "? [1]\n: 2", "!!python/object:os.system x", "--- \n---", "%YAML 9.9"),
    *(f"seeds: [{'9' * 4000}]", f"x: {'9' * 4000}", "\t- tab", "name: \u202e", f"{'[' * 5000}", f"{'- ' * 3000}x", "}"),
    *("protocol: {crop: [100000000, 100000000]}", "name: claims", "name: ../x", "name: 0x10", "\x00"),
    *("  train: 1000000000", "include: /proc/self/mem", "extends: /dev/zero", f"# {'x' * 200_000}", "\ufeff"),
]  # fmt: skip


@cache
def packaged() -> list[bytes]:
    """Return the benchmark files that ship."""
    return [path.read_bytes() for path in sorted(Path(__file__).parents[1].glob("*.yaml"))]


def prepare() -> None:
    """Import what planning needs, so that no trial is slow for that."""
    call(Path.cwd(), "plan", "adversarial-augmentation")


def attempt(folder: Path, rng) -> None:
    """Plan one packaged benchmark with faults."""
    content = rng.choice(packaged())
    fault = rng.choice(["tree", "tree", "tree", "bytes", "line"])
    if fault == "tree":
        content = as_json(damage_tree(YAML(typ="safe").load(content), rng))
    elif fault == "bytes":
        content = damage_bytes(content, rng)
    else:
        lines = content.decode().split("\n")
        place = rng.randrange(len(lines))
        lines[place : place + rng.choice([0, 1])] = [rng.choice(["", "  ", "    "]) + rng.choice(LINES)]
        content = "\n".join(lines).encode()
    path = folder / "bench.yaml"
    path.write_bytes(content)
    answer = call(folder, "plan", path.name)
    require(answer.code in (0, 2), answer)
    require(answer.seconds <= CPU_SECONDS, answer)
