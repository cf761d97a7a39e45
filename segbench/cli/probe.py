"""`segbench probe`: whether a method's discriminator can win on the encoding of labels alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .completion import complete_method
from .options import BenchmarkFile, Device, Json, Results, Sets
from .output import columns, print_content, warn

if TYPE_CHECKING:
    from segbench.config.recipe import Adversarial, Benchmark
    from segbench.engine.encoding_leak import Finding
    from segbench.engine.recorded import RecordedNetwork
    from segbench.plan.cell import Cell
    from segbench.registry import Registry


def probe(
    benchmark: BenchmarkFile,
    method: Annotated[str, typer.Argument(help="A method of it with a discriminator.", autocompletion=complete_method)],
    cell: Annotated[
        str | None,
        typer.Option("--cell", metavar="KEY", help="Also probe the network of a finished cell: its record or key."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of the file's datasets. [default: the first one]")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="How many steps each discriminator is trained.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, crops and predictions.")] = 0,
    sets: Sets = None,
    results: Results = Path("results"),
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure whether a method's discriminator can tell true labels from predictions that are correct everywhere.

    It should not be able to: nothing but the encoding of the labels differs. An accuracy of 0.5 is clean. At 1.0 the
    discriminator wins on sharpness alone, and all that its gradient teaches is to be confident.
    """
    from rich.console import Console

    from segbench.config.benchmark import load_benchmark
    from segbench.engine.device import enter_device
    from segbench.engine.encoding_leak import check_can_be_probed, probe_leak
    from segbench.registry import load_registry

    registry = load_registry()
    loaded = load_benchmark(benchmark, registry, sets=sets or (), only=[method], seeds=[seed])
    check_can_be_probed(loaded.methods[method])
    where = enter_device(device)
    probed = choose_cell(loaded, registry, method, dataset)
    trained = None if cell is None else load_trained(cell, results, probed, device)
    with Console(stderr=True).status(f"training discriminators, {steps} steps each"):
        findings = list(probe_leak(probed, where, steps, trained))
    content = _describe(probed, steps, findings)
    print_content(content, json, _as_text)


def choose_cell(benchmark: Benchmark, registry: Registry, method: str, dataset: str | None) -> Cell:
    """Return the cell of a method on a dataset that has the most labels.

    Raises SpecError for an unknown dataset, DataError if it is not at hand.
    """
    from segbench.errors import SpecError, alternatives
    from segbench.plan.cell import Subset
    from segbench.plan.plan import plan_benchmark

    names = list(benchmark.datasets)
    chosen = names[0] if dataset is None else dataset
    if chosen not in names:
        unknown = f"--dataset {chosen}: the benchmark has no such dataset.{alternatives(chosen, names)}"
        raise SpecError(unknown).among(names)
    one = benchmark.model_copy(update={"datasets": {chosen: benchmark.datasets[chosen]}})
    opened = plan_benchmark(one, registry)
    opened.check_data()
    cells = [cell for cell in opened.cells if cell.method.name == method and not Subset.parse(cell.subset).is_fold]
    return max(cells, key=lambda cell: Subset.parse(cell.subset).fraction)


def load_trained(given: str, results: Path, probed: Cell, device: str) -> RecordedNetwork:
    """Return the network of a finished cell of the probed method, its twin or the method whose placebo it is.

    Raises RecordError for a cell of another method.
    """
    from segbench.engine.prediction.predict import load_cell
    from segbench.engine.recorded import find_record
    from segbench.errors import RecordError
    from segbench.store.folder import read_record

    method = probed.method
    path = find_record(given, results)
    trained = load_cell(path, device)
    related = [name for name in (method.name, method.twin, method.placebo_of) if name]
    if (name := read_record(path).method) not in related:
        raise RecordError(f"{path}: it is a cell of method {name!r}; give a cell of {' or '.join(map(repr, related))}")
    warn(*trained.warnings)
    return trained


def _describe(cell: Cell, steps: int, findings: list[Finding]) -> dict[str, Any]:
    """Return the findings and what they were found with, ready for JSON."""
    from dataclasses import asdict

    method = cell.method
    assert method.discriminator is not None
    assert method.adversarial is not None
    return {
        "benchmark": cell.benchmark,
        "dataset": cell.dataset_name,
        "subset": cell.subset,
        "method": method.name,
        "maps": method.maps,
        "discriminator": method.discriminator.use,
        "adversarial": method.adversarial.use,
        "encoding": method.adversarial.encoding.model_dump(),
        "conditional": method.adversarial.conditional,
        "seed": cell.seed,
        "steps": steps,
        "findings": [{**asdict(found), "verdict": found.verdict} for found in findings],
        "advice": advice(method.maps, method.adversarial, findings),
    }


def advice(maps: str, adversarial: Adversarial, findings: list[Finding]) -> str:
    """Return one sentence that says what to do about the findings."""
    verdicts = {found.verdict for found in findings}
    if not any(found.difference for found in findings):
        return (
            "Nothing to do: where predictions are correct, real and fake are equal, and no discriminator can tell them "
            "apart."
        )
    if verdicts == {"clean"}:
        return (
            "The discriminator is at chance, but real and fake differ; train it longer (--steps) before you rely on "
            "that."
        )
    if maps == "image -> image":
        change = "Let the generator map image -> labels, with the encoding straight_through or confidence_matched"
    else:
        change = "Set adversarial.encoding to straight_through or confidence_matched"
    if "undefined" in verdicts:
        return (
            f"{change}, where the difference is 0: {adversarial.use} compares features and never scores real against "
            "fake, so there is no accuracy that says what a difference gives away."
        )
    return f"{change}: with the present encoding the discriminator can win without looking at what was predicted."


def _as_text(content: dict[str, Any]) -> str:
    seen = "no encoding" if content["maps"] == "image -> image" else f"encoding {content['encoding']['use']}"
    condition = "with" if content["conditional"] else "without"
    rows = [("PREDICTIONS", "CONFIDENCE", "DIFFERENCE", "ACCURACY", "VERDICT"), *map(_row, content["findings"])]
    return "\n".join(
        [
            f"{content['method']} on {content['dataset']}: {content['discriminator']} under {content['adversarial']}, "
            f"{seen}, {condition} condition, {content['steps']} steps, seed {content['seed']}",
            columns(rows),
            content["advice"],
        ]
    )


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    accuracy = _number(found["accuracy"], 3)
    if found["standard_error"] is not None:
        accuracy += f" ± {_number(found['standard_error'], 3)}"
    confidence, difference = _number(found["confidence"], 2), _number(found["difference"], 4)
    return found["predictions"], confidence, difference, accuracy, found["verdict"]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
