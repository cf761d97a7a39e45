"""`segbench time`: how fast methods are, without training them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from .completion import complete_dataset, complete_generator
from .options import DatasetOptions, Device, Json, Root, parse_options, parse_size
from .output import INTERRUPTED, SOME_FAILED, check_can_be_written, say, terminal_width, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.config.method_argument import MethodArgument
    from segbench.config.protocol import TrainingProtocol
    from segbench.config.recipe import DatasetUse
    from segbench.contract import Dataset
    from segbench.execute.timing_session import Timed
    from segbench.plan.cell import Cell
    from segbench.registry import Offer, Registry
    from segbench.report.speed_test import SpeedConditions, Speeds


# By how much a measurement may take longer than it should, as in a benchmark's own default.
PATIENCE = 4
LOADING_LEFT_OUT = (
    "Reading and decoding images was not timed: with --size nothing is read; without it, that is a stage of its own."
)


class TimedData(NamedTuple):
    """The data that methods are timed on: a dataset's classes and channels, and images of a height and width.

    `reads` is whether its images are read and decoded; `fingerprint` is only taken if so.
    """

    use: DatasetUse
    dataset: Dataset
    split: str
    fingerprint: str
    size: tuple[int, int]
    reads: bool


def time_methods(
    methods: Annotated[
        list[str],
        typer.Argument(
            metavar="METHOD...",
            help="A generator (smp/unet), one with options ('{use: smp/unet, encoder: resnet18}'), or a method of a "
            "benchmark (quickstart:unet, FILE:METHOD). The others are compared with the first one.",
            autocompletion=complete_generator,
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option(
            metavar="D", help="A dataset: its classes, channels and image size count.", autocompletion=complete_dataset
        ),
    ],
    root: Root = None,
    option: DatasetOptions = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Height and width of images. [default: that of most images of the dataset]"),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at once, beside one at a time.")] = 8,
    compile: Annotated[bool, typer.Option("--compile", help="Compile the networks.")] = False,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], typer.Option(help="Number format of the forward pass.")
    ] = "fp32",
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Keep channels innermost in memory.")] = False,
    tf32: Annotated[bool, typer.Option("--tf32", help="Let CUDA devices round fp32 factors to TF32.")] = False,
    device: Device = "auto",
    threads: Annotated[
        int | None,
        # as a protocol allows, which is not imported here: that would slow every command down
        typer.Option(min=1, max=4096, help="CPU threads. [default: all usable cores]"),
    ] = None,
    iterations: Annotated[
        int, typer.Option(min=1, help="How often each stage runs at least at each batch size.")
    ] = 200,
    seconds: Annotated[float, typer.Option(min=0.001, help="How long each stage runs at least.")] = 30.0,
    max_seconds: Annotated[
        float | None, typer.Option(min=0.001, help="How long at most. [default: four times --seconds]")
    ] = None,
    sweep: Annotated[int, typer.Option(min=0, help="Largest batch tried for the best one; 0 tries none.")] = 1024,
    runtime: Annotated[
        str, typer.Option(metavar="R,...", help="torch, onnxruntime, openvino: the network alone from an ONNX file.")
    ] = "torch",
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with a former run (its -o FILE): do intervals overlap?")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the JSON to this file as well.")] = None,
    json: Json = False,
) -> None:
    """Time untrained methods interleaved: images a second of each stage, latency, best batch, ratios with intervals.

    Nothing but classes, channels and the size of images counts. Where the data of D is not at hand,
    `--dataset data/shapes --option classes=11 --size 360x480` does as well.
    """
    from segbench.config.method_argument import in_runtimes, label_arguments, read_method_argument
    from segbench.config.protocol import Budget, TrainingProtocol
    from segbench.config.timing import Timing, read_runtimes
    from segbench.plan.machine import usable_cores
    from segbench.registry import load_registry
    from segbench.report.speed_test import as_text, read_speeds

    registry = load_registry()
    protocol = TrainingProtocol(
        budget=Budget(steps=1),
        batch_size=batch,
        precision=precision,
        channels_last=channels_last,
        compile=compile,
        tf32=tf32,
        threads=threads or usable_cores(),
        timing=Timing(
            iterations=iterations, seconds=seconds, max_seconds=max_seconds or PATIENCE * seconds, sweep=sweep
        ),
    )
    runtimes = read_runtimes(runtime)
    check_runtimes(runtimes, protocol)
    given = label_arguments(in_runtimes([read_method_argument(text, registry, protocol) for text in methods], runtimes))
    former = None if against is None else (against, read_speeds(against))
    asked = None if size is None else parse_size(size)
    data = open_data(registry.find("dataset", dataset), root, parse_options(option or []), asked)
    if output is not None:
        check_can_be_written(output)
    found = measure(given, data, protocol, registry, device, former)
    text = found.model_dump_json(indent=2)
    say(text if json else as_text(found, terminal_width()))
    if output is not None:
        write(output, f"{text}\n")
    if found.failures:
        raise typer.Exit(SOME_FAILED)


def check_runtimes(runtimes: Sequence[str], protocol: TrainingProtocol) -> None:
    """Raise an error for what runtimes other than torch do not do, or lack."""
    from segbench.registry.extras import require

    others = [runtime for runtime in runtimes if runtime != "torch"]
    if not others:
        return
    if protocol.precision != "fp32" or protocol.compile:
        raise typer.BadParameter(f"--runtime {others[0]} runs fp32 alone; leave out --precision and --compile")
    require("onnx", "onnx", "onnxscript", *others)


def open_data(offer: Offer, root: str | None, options: Mapping[str, Any], size: tuple[int, int] | None) -> TimedData:
    """Open a dataset, and decode its evaluated split where no size is given; DataError if it is not at hand."""
    from segbench.config.recipe import DatasetUse
    from segbench.errors import DataError
    from segbench.registry.datasets import dataset_root, open_dataset
    from segbench.registry.options import coerce_options
    from segbench.registry.output import send_output_to_stderr

    with send_output_to_stderr():
        try:
            dataset = open_dataset(offer, root, options)
        except DataError as error:
            raise DataError(
                f"{error} To time without it, use another dataset with as many classes and channels: "
                "--dataset data/shapes --option classes=11 --size 360x480"
            ) from error
        folder = dataset_root(offer, root)
        absolute = None if folder is None else str(folder.absolute())
        use = DatasetUse(use=offer.full_name, options=coerce_options(offer, options), root=absolute)
        split = next(split for split in ("test", "val", "train") if split in dataset.splits)
        if size is not None:
            return TimedData(use, dataset, split, "not taken", size, reads=False)
        return _decode(offer, use, dataset, split)


def _decode(offer: Offer, use: DatasetUse, dataset: Dataset, split: str) -> TimedData:
    from segbench.engine.data.cache import pack
    from segbench.engine.data.dataset import common_size
    from segbench.plan.key import cache_key, fingerprint, required_versions, source_hash

    content = fingerprint(dataset)
    packed = pack(dataset, split, cache_key(use, content, source_hash(offer), required_versions(offer)))
    return TimedData(use, dataset, split, content, common_size(packed), reads=True)


def measure(
    given: Mapping[str, MethodArgument],
    data: TimedData,
    protocol: TrainingProtocol,
    registry: Registry,
    device: str,
    former: tuple[Path, Speeds] | None,
) -> Speeds:
    """Time methods and return the result.

    Raises RecordError before anything is timed if the former run was taken under other conditions.
    """
    from segbench.errors import SpecError
    from segbench.execute.progress import PlainProgress, format_duration
    from segbench.execute.speed_test import time_untrained
    from segbench.report.speed_test import check_same_conditions, put_side_by_side

    least, most = (len(given) * seconds for seconds in seconds_a_method(protocol, reads=data.reads))
    say(f"timing takes {format_duration(least)} to {format_duration(most)}, and warming up and the sweep", err=True)
    environment: dict[str, Any] = {}
    runtimes = {label: one.runtime for label, one in given.items() if one.runtime != "torch"}

    def accept(found: Mapping[str, Any]) -> None:
        environment.update(found)
        if runtimes and not str(found["device"]).startswith("cpu"):
            raise SpecError(f"--runtime: {', '.join(set(runtimes.values()))} runs on the CPU; give --device cpu")
        if former is not None:
            check_same_conditions(former[1].conditions, describe_conditions(data, protocol, found), former[0])

    cells = plan_timed_cells(given, data, protocol, registry)
    size = None if data.reads else data.size
    listener = PlainProgress(sys.stderr)
    timed = time_untrained(cells, device=device, size=size, listener=listener, accept=accept, runtimes=runtimes)
    if timed is None:
        say("stopped; incomplete measurements are not reported", err=True)
        raise typer.Exit(INTERRUPTED)
    found = build_speeds(timed, given, data, protocol, environment)
    return found if former is None else found.model_copy(update={"against": put_side_by_side(former[1], found)})


def seconds_a_method(protocol: TrainingProtocol, *, reads: bool) -> tuple[float, float]:
    """Return how long the rows of a method are measured at least and at most; warming up and the sweep come on top."""
    from segbench.engine.timing.parts import STAGES

    assert protocol.timing is not None, "this command times"
    budgets = [protocol.timing, *[protocol.timing.beside_the_forward_pass] * (len(STAGES) - 1 - (not reads))]
    rows = len({1, protocol.batch_size})
    return rows * sum(one.seconds for one in budgets), rows * sum(one.max_seconds for one in budgets)


def plan_timed_cells(
    given: Mapping[str, MethodArgument], data: TimedData, protocol: TrainingProtocol, registry: Registry
) -> tuple[Cell, ...]:
    """Return a cell for each method, all under one protocol."""
    from segbench.config.recipe import Benchmark
    from segbench.plan.plan import plan_cells

    here = protocol.model_copy(update={"crop": data.size, "evaluate": data.split})
    benchmark = Benchmark(
        name="time",
        source="the command line",
        datasets={data.use.use: data.use},
        seeds=(0,),
        methods={label: one.method(label, here) for label, one in given.items()},
    )
    fingerprints = {data.use.use: data.fingerprint}
    return plan_cells(benchmark, registry, fingerprints, threads=protocol.threads or 1)


def describe_conditions(data: TimedData, protocol: TrainingProtocol, environment: Mapping[str, Any]) -> SpeedConditions:
    """Return the conditions, other than the methods, on which speeds depend."""
    from segbench.report.speed_test import SpeedConditions

    return SpeedConditions(
        classes=len(data.dataset.classes),
        channels=data.dataset.channels,
        size=data.size,
        device=str(environment["device"]).partition(":")[0],
        device_name=environment["device_name"],
        precision=protocol.precision,
        tf32=protocol.tf32,
        channels_last=protocol.channels_last,
        compile=protocol.compile,
        threads=protocol.threads or 1,
    )


def build_speeds(
    timed: Timed,
    given: Mapping[str, MethodArgument],
    data: TimedData,
    protocol: TrainingProtocol,
    environment: Mapping[str, Any],
) -> Speeds:
    """Return what was measured with its intervals, ratios, warnings and remarks."""
    from segbench.report.ranking.timings import MethodSpeed, timing_warnings
    from segbench.report.speed_test import SpeedBudget, Speeds, build_timed_method

    assert protocol.timing is not None, "this command times"
    results = {label: timed.results[label] for label in given if label in timed.results}
    methods = [MethodSpeed(label, result.inference, result.timing) for label, result in results.items()]
    return Speeds(
        segbench=environment["segbench"],
        torch=environment["torch"],
        started=environment["started"],
        dataset=data.use.use,
        conditions=describe_conditions(data, protocol, environment),
        budget=SpeedBudget(**protocol.timing.model_dump(include=set(SpeedBudget.model_fields))),
        methods=[
            build_timed_method(
                one,
                methods[0],
                given[one.method].generator,
                results[one.method].inference_peak_bytes,
                given[one.method].runtime,
            )
            for one in methods
        ],
        failures={label: failure.cause for label, failure in timed.failures.items()},
        warnings=timing_warnings(methods),
        remarks=[*([] if data.reads else [LOADING_LEFT_OUT]), *_disregarded(given)],
    )


def _disregarded(given: Mapping[str, MethodArgument]) -> list[str]:
    """Say where a method's benchmark asks for conditions that do not hold here."""
    return [
        f"{label}: what its benchmark sets for {', '.join(one.disregarded)} does not count: one setting holds for all."
        for label, one in given.items()
        if one.disregarded
    ]
