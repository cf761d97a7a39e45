"""Whether a change of segbench's own code left every output as it was.

    python benchmarks/harness/same_outputs.py keep FOLDER       # before the change; trains for some five minutes
    python benchmarks/harness/same_outputs.py compare FOLDER    # after it, on the same machine
    python benchmarks/harness/same_outputs.py train FOLDER      # after it: train all cells anew

`keep` trains a small benchmark with cells of every kind (supervised, adversarial with placebos, refiner over folds,
tuned, label fractions, pseudo-labels, painter, synthetic data) and keeps what the commands below print of its records,
and `plan --json` of every packaged benchmark, keys included. `compare` runs the commands again on the same records and
the same folder and names each output that differs: JSON and CSV by the fields that do, text by its changed lines.
Datasets that lie in $SEGBENCH_DATA have keys in their plans, others have none.
It ends with 1 if a byte differs, with `--values` only if a number or a field does. `train` trains the same cells in a
folder of their own and ends with 1 if a key or a bit of any result differs (not of cells whose budget is in seconds).
"""

from __future__ import annotations

import argparse
import csv
import difflib
import io
import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

BENCHMARK = """\
name: everything
datasets:
  shapes: {use: data/shapes, classes: 3, size: [48, 64], train: 24, val: 8, test: 12}
protocol:
  budget: {steps: 40}
  batch_size: 4
  crop: [32, 48]
  augment: {scale: [0.75, 1.5], flip: true}
  optimizer: {use: adamw, lr: 0.003}
  timing: {iterations: 5, seconds: 0.2, max_seconds: 1, sweep: 2}
  threads: 1
seeds: [0, 1, 2]
tune: {trials: 2, seed: 100}
methods:
  fcn: {generator: {use: basic/fcn, width: 8}, losses: [losses/cross_entropy], labels: {fraction: [0.5, 1]}}
  fcn+dice: {extends: fcn, losses: [losses/cross_entropy, {use: losses/dice, weight: 0.5}]}
  tuned: {extends: fcn, labels: null, tune: {protocol.optimizer.lr: [0.001, 0.003]}}
  tuned+critic:
    extends: tuned
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 8}
    adversarial: {use: gan/hinge, weight: 0.05}
    tune: {adversarial.weight: [0.01, 0.1]}
  as-long: {extends: tuned, protocol: {budget: {like: tuned+critic, in: seconds}}}
  semi:
    extends: fcn
    discriminator: {use: gan/pixel, width: 8}
    adversarial: {use: gan/non_saturating, weight: 0.01, conditional: false}
    unlabelled: {use: gan/semi_adversarial}
  pseudo: {extends: fcn, unlabelled: {pseudo_labels_from: fcn, threshold: 0.4}}
  refined: {extends: fcn, labels: null, generator: {use: refine/unet, width: 8}, refines: {method: fcn, folds: 2}}
  refined+critic:
    extends: refined
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 8}
    adversarial: {use: gan/hinge, weight: 0.05}
  painter:
    generator: {use: gan/spade, width: 8}
    losses: [{use: gan/l1, weight: 2}]
    discriminator: {use: gan/multiscale, width: 8}
    adversarial: {use: gan/hinge}
  joint:
    generator: {use: gan/joint, width: 8}
    discriminator: {use: gan/image, width: 8}
    adversarial: {use: gan/non_saturating}
  fcn+painted: {extends: fcn, labels: null, trains_on: {synthetic: painter, share: 0.5}}
compare:
  - {claim: tuned+critic, against: tuned, placebo: [frozen, shuffled]}
  - {claim: tuned+critic, against: as-long}
  - {claim: semi, against: fcn}
  - {claim: refined+critic, against: refined, placebo: [frozen]}
"""
REPOSITORY = Path(__file__).resolve().parents[2]
RECORDS = "results/everything"
PACKAGED = sorted(
    Path(file.name).stem for file in files("segbench.benchmarks").iterdir() if file.name.endswith(".yaml")
)
NEEDS_NO_EXTRA = {"adversarial-refinement": ["--only", "deeplab+refiner+critic", "--only", "deeplab+refiner"]}
TRAINED = ("status", "scores", "per_class", "definitions", "health", "generation", "refinement")
COMMANDS = {
    "report.txt": ["report", RECORDS, "--full", "--per-class"],
    "report.md": ["report", RECORDS, "--format", "markdown", "--per-class"],
    "report.tex": ["report", RECORDS, "--format", "latex", "--per-class"],
    "report.csv": ["report", RECORDS, "--format", "csv"],
    "report.json": ["report", RECORDS, "--format", "json"],
    "compare.txt": ["compare", "tuned+critic", "tuned", RECORDS],
    "compare.json": ["compare", "tuned+critic", "tuned", RECORDS, "--json"],
    "compare-semi.json": ["compare", "semi", "fcn", RECORDS, "--subset", "labels 0.5", "--json"],
    "compare-refined.json": ["compare", "refined+critic", "refined", RECORDS, "--json"],
    "rescore.txt": ["rescore", RECORDS],
    "rescore.json": ["rescore", RECORDS, "--json"],
    "plan-everything.json": ["plan", "everything.yaml", "--json"],
    **{
        f"plan-{name}.json": ["plan", name, *NEEDS_NO_EXTRA.get(name, []), "--results", "none", "--json"]
        for name in PACKAGED
    },
}


def printed(folder: Path, arguments: list[str]) -> str:
    """Run segbench in the folder and return what it prints, with the exit status and the messages below."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "segbench", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"segbench {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout.replace(str(REPOSITORY), "REPOSITORY")


def keep(folder: Path) -> None:
    """Train the benchmark in the folder and keep what every command prints."""
    (folder / "kept").mkdir(parents=True)
    (folder / "everything.yaml").write_text(BENCHMARK)
    printed(folder, ["run", "everything.yaml"])
    for name, arguments in COMMANDS.items():
        (folder / "kept" / name).write_text(printed(folder, arguments))
    print(f"{len(COMMANDS)} outputs are kept in {folder / 'kept'}")


def compare(folder: Path, values_only: bool) -> int:
    """Print how each command's output differs from the kept one; return how many do."""
    differing = 0
    for name, arguments in COMMANDS.items():
        before, after = (folder / "kept" / name).read_text(), printed(folder, arguments)
        changes = [] if before == after else changed(name, before, after)
        values = values_of(name, before) != values_of(name, after)
        differing += values if values_only else before != after
        print(f"{name:40} {'equal' if before == after else 'VALUES DIFFER' if values else 'other words, equal values'}")
        print("".join(f"    {line}\n" for line in changes), end="")
    print(f"{differing} of {len(COMMANDS)} outputs differ")
    return differing


def train(folder: Path) -> int:
    """Train the benchmark once more and print which records differ in what training decides; return how many do."""
    printed(folder, ["run", "everything.yaml", "--results", "again"])
    kept, again = results(folder / RECORDS), results(folder / "again" / "everything")
    differing = {key for key in kept.keys() | again.keys() if kept.get(key) != again.get(key)}
    for key in sorted(differing):
        print(f"{key}: {kept.get(key, 'no record')}\n    -> {again.get(key, 'no record')}")
    print(f"{len(differing)} of {len(kept)} records differ in {', '.join(TRAINED)}")
    return len(differing)


def results(folder: Path) -> dict[str, dict[str, object]]:
    """Return by key what training decides of each record whose budget is a number of steps."""
    records = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    stepped = [record for record in records if record["spec"]["method"]["protocol"]["budget"]["steps"] is not None]
    return {record["key"]: {name: record[name] for name in TRAINED} for record in stepped}


def changed(name: str, before: str, after: str) -> list[str]:
    """Return the fields of JSON that differ, or the lines of anything else."""
    if name.endswith(".json"):
        one, other = flat(json.loads(before)), flat(json.loads(after))
        return [
            f"{path}: {one.get(path, 'none')} -> {other.get(path, 'none')}"
            for path in sorted(one.keys() | other.keys())
            if one.get(path) != other.get(path)
        ]
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=0)
    return list(lines)


def values_of(name: str, text: str) -> object:
    """Return what must not change though words may: fields of JSON and CSV, numbers of a text in order."""
    if name.endswith(".json"):
        return flat(json.loads(text))
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text)))
    return re.findall(r"(?<![\w.])[-+]?\d+(?:\.\d+)?", text)


def flat(value: object, path: str = "") -> dict[str, object]:
    """Return the leaves of a JSON value by their path."""
    if isinstance(value, dict):
        return {leaf: found for name, inner in value.items() for leaf, found in flat(inner, f"{path}.{name}").items()}
    if isinstance(value, list):
        return {
            leaf: found for index, inner in enumerate(value) for leaf, found in flat(inner, f"{path}[{index}]").items()
        }
    return {path: value}


def main() -> None:
    """Keep, compare or train again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["keep", "compare", "train"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--values", action="store_true", help="let words differ, but no number and no field")
    given = parser.parse_args()
    if given.step == "keep":
        keep(given.folder.absolute())
    elif given.step == "train":
        sys.exit(1 if train(given.folder.absolute()) else 0)
    else:
        sys.exit(1 if compare(given.folder.absolute(), given.values) else 0)


if __name__ == "__main__":
    main()
