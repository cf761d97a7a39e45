"""Warnings about a benchmark before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.config.recipe import ENCODED_MAPS
from segbench.stats.verdict import LEAST_SEEDS_FOR_A_VERDICT

from .machine import cpu_flags, likely_device, likely_gpus, usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from segbench.config.protocol import TrainingProtocol
    from segbench.config.recipe import Benchmark, Method

    from .cell import Cell

    Rule = tuple[Callable[[TrainingProtocol], bool], str]  # which protocols are warned of, and how


# Instruction sets with which an x86 CPU multiplies bf16 numbers itself.
NATIVE_BF16 = frozenset({"avx512_bf16", "amx_bf16"})

# Encodings under which a right prediction and the truth look the same to a discriminator.
CLEAN_ENCODINGS = frozenset({"straight_through", "confidence_matched"})

AUTOMATIC = "auto"

# What is to be warned of by a method's protocol alone.
_OF_PROTOCOLS: tuple[Rule, ...] = (
    (
        lambda protocol: protocol.accumulate > 1 and protocol.budget.is_time,
        "the budget is seconds and each step takes several micro-batches (accumulate), so it has fewer steps, and "
        "their number depends on the machine",
    ),
    (
        lambda protocol: protocol.evaluate == "train",
        "scores are of the train split, so they tell what was memorised, not what was learnt",
    ),
    (
        lambda protocol: protocol.evaluate == "val" and protocol.validations > 0,
        "scores are of the val split, which the curves show as well: what is chosen by the curves looks too good",
    ),
    (
        lambda protocol: protocol.timing is not None and protocol.timing.budget == "reduced",
        "the timing budget is reduced, so speed is only roughly measured and not ranked beside full measurements",
    ),
)


def plan_warnings(
    benchmark: Benchmark, cells: Sequence[Cell], *, device: str = AUTOMATIC, jobs: int = 1
) -> tuple[str, ...]:
    """Return the warnings of a benchmark, and those of its cells on this machine with a device and a number of jobs.

    `device` is "auto", "cpu", "cuda" or "cuda:N".
    """
    methods = {cell.method.name: cell.method for cell in cells if cell.method.trial_of is None}
    chosen = likely_device() if device == AUTOMATIC else device
    here = machine_warnings(methods, chosen, jobs, cores=usable_cores(), flags=cpu_flags(), gpus=likely_gpus())
    return benchmark_warnings(benchmark) + here


def benchmark_warnings(benchmark: Benchmark) -> tuple[str, ...]:
    """Return what is to be warned of on every machine; trials of tuning differ from their methods in nothing of it."""
    methods = {name: method for name, method in benchmark.methods.items() if method.trial_of is None}
    return (
        *benchmark.notices,
        *_few_seeds(benchmark),
        *_overrides(methods),
        *_untuned_twins(methods),
        *_leaking_encodings(methods),
        *_warn_where(methods, *_OF_PROTOCOLS),
    )


def machine_warnings(
    methods: Mapping[str, Method], device: str, jobs: int, *, cores: int, flags: AbstractSet[str] | None, gpus: int
) -> tuple[str, ...]:
    """Return what is to be warned of with so many cores, these CPU flags (None where they are not known) and GPUs.

    0 GPUs are any number.
    """
    emulated = device == "cpu" and flags is not None and not NATIVE_BF16 & flags
    return _warn_where(
        methods,
        (
            lambda protocol: protocol.precision == "bf16" and emulated,
            f"bf16 is only emulated by this CPU (it has none of {', '.join(sorted(NATIVE_BF16))}) and slower than fp32",
        ),
        (
            lambda protocol: protocol.precision == "fp16" and device == "cpu",
            "fp16 is made for GPUs; on the CPU it is slow and may not be supported, so take bf16 or fp32",
        ),
        (
            lambda protocol: protocol.precision == "fp32" and not protocol.tf32 and device.startswith("cuda"),
            "fp32 without tf32 leaves the tensor cores of a GPU idle, which makes those since 2020 three to six times "
            "slower; take precision: bf16, or tf32: true",
        ),
        (
            lambda protocol: (protocol.threads or 1) * jobs > cores,
            f"the threads of a cell times {jobs} jobs exceed the {cores} usable cores, so cells slow each other down",
        ),
        (
            lambda protocol: device == "cpu" and 1 < protocol.processes > cores,
            f"processes of a cell exceed the {cores} usable cores, so they slow each other down",
        ),
        (
            lambda protocol: device.startswith("cuda") and protocol.processes > gpus > 0,
            f"each of the processes of a cell takes a GPU, and only {gpus} can be seen here; a run will refuse it",
        ),
        (
            lambda protocol: protocol.budget.like is not None and jobs > 1,
            f"the budget is seconds that are measured while {jobs} cells run at once, and they slow each other down; "
            "take --jobs 1 for equal budgets",
        ),
    )


def _warn_where(methods: Mapping[str, Method], *rules: Rule) -> tuple[str, ...]:
    """Return the message of each rule with the methods that it applies to, where there are any."""
    found = []
    for applies, message in rules:
        names = [name for name, method in methods.items() if applies(method.protocol)]
        if names:
            found.append(f"{'all methods' if len(names) == len(methods) else ', '.join(names)}: {message}")
    return tuple(found)


def _overrides(methods: Mapping[str, Method]) -> list[str]:
    return [
        f"{name}: overrides {', '.join(keys)} of the protocol, so it does not run under equal conditions"
        for name, method in methods.items()
        if (keys := _unequal(method))
    ]


def _unequal(method: Method) -> list[str]:
    """Return the overridden keys, without a budget that is made equal to another method's in seconds."""
    keys = method.overrides
    return [key for key in keys if method.protocol.budget.like is None or not key.startswith("budget.")]


def _untuned_twins(methods: Mapping[str, Method]) -> list[str]:
    return [
        f"{name}: it is tuned and its twin {method.twin} is not, so what it gains may be the tuning's"
        for name, method in methods.items()
        if method.tuning and (twin := methods.get(method.twin or "")) and twin.tuning is None
    ]


def _few_seeds(benchmark: Benchmark) -> list[str]:
    methods = [method for method in benchmark.methods.values() if method.trial_of is None]
    if len(methods) < 2 or len(benchmark.seeds) >= LEAST_SEEDS_FOR_A_VERDICT:
        return []
    claims = ", ".join(f"{claim.claim} against {claim.against}" for claim in benchmark.compare) or "all methods"
    seeds = "is 1" if len(benchmark.seeds) == 1 else f"are {len(benchmark.seeds)}"
    return [
        f"{claims}: no verdict below {LEAST_SEEDS_FOR_A_VERDICT} seeds, and there {seeds}: they are too few to tell a "
        "difference from chance"
    ]


def _leaking_encodings(methods: Mapping[str, Method]) -> list[str]:
    """Warn of encodings by which a discriminator may tell ground truth from predictions though they agree."""
    by_encoding: dict[str, list[str]] = {}
    for name, method in methods.items():
        if method.adversarial and method.maps in ENCODED_MAPS and method.placebo_of is None:
            by_encoding.setdefault(method.adversarial.encoding.use, []).append(name)
    return [
        f"{', '.join(names)}: the encoding {encoding} may let the discriminator tell ground truth from predictions by "
        "sharpness alone; measure it with `segbench probe FILE METHOD`"
        for encoding, names in by_encoding.items()
        if encoding not in CLEAN_ENCODINGS
    ]
