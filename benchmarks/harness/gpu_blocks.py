"""The blocks of gpu_session.py, each in a process of its own: they yield figures by their names, one after the other.

A figure is a number, a text, several of them by name, or a ratio of each round with their median.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import adversarial
import counting
import hand_over
import numpy as np
import scoring
import torch
from interleaving import Variant, measure_interleaved, now, prepare, ratios
from PIL import Image
from torch.nn.functional import conv2d, cross_entropy
from torch.profiler import ProfilerActivity, profile
from training import Limit, Ours, Plain
from unet_job import CLASSES, IGNORE, WARM_UP, crops, open_camvid

from segbench.config.augment import Augment
from segbench.engine.data.cache import pack
from segbench.engine.device import bf16_support, environment, resolve_device
from segbench.engine.evaluation import confusion
from segbench.engine.numerics import name_device_errors
from segbench.plan.key import fingerprint
from segbench.store.folder import ResultsFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Figures = Iterator[tuple[str, Any]]

REPOSITORY = Path(__file__).resolve().parents[2]
MEGABYTE = 10**6


def settings(options: argparse.Namespace, **changes: Any) -> argparse.Namespace:
    """Return the options of the other scripts: bf16 and channels_last, few steps and one round in a dry run."""
    chosen = {
        "device": options.device,
        "camvid": options.camvid,
        "precision": "bf16",
        "channels_last": True,
        "tf32": False,
        "rounds": 1 if options.dry_run else 3,
        "steps": 1 if options.dry_run else 50,
        "images": 2 if options.dry_run else 16,
        "speed_only": True,
    }
    return argparse.Namespace(**{**chosen, **changes})


def of_rounds(values: Sequence[float]) -> dict[str, Any]:
    """Return a figure of several rounds."""
    return {"median": median(values), "rounds": list(values)}


def medians(figures: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each candidate's rounds."""
    return {name: median(values) for name, values in figures.items()}


# Data and facts ------------------------------------------------------------------------------------------------------


def make_data(options: argparse.Namespace) -> Figures:
    """Make up images in CamVid's layout where there are none, and decode all into the cache."""
    if not options.camvid.exists():
        few = {"train": 8, "val": 8, "test": 4}
        many = {"train": 367, "val": 32, "test": 48}
        make_up_camvid(options.camvid, few if options.dry_run else many, (96, 128) if options.dry_run else (360, 480))
        yield "images", "made up"
    dataset = open_camvid(options.camvid)
    for split in dataset.splits:
        yield split, len(pack(dataset, split, fingerprint(dataset)).ids)


def make_up_camvid(folder: Path, numbers: dict[str, int], size: tuple[int, int]) -> None:
    """Write so many images of patches of classes, some of them void, in the layout that data/camvid reads."""
    generator = np.random.default_rng(0)
    colours = generator.integers(0, 256, (256, 3))
    for name in ("images", "masks", "splits"):
        (folder / name).mkdir(parents=True)
    for split, number in numbers.items():
        stems = [f"{split}_{place:05}" for place in range(number)]
        (folder / "splits" / f"{split}.txt").write_text("\n".join(stems))
        for stem in stems:
            patches = Image.fromarray(generator.integers(0, CLASSES + 1, (12, 16), dtype=np.uint8))
            labels = np.array(patches.resize(size[::-1], Image.Resampling.NEAREST))
            image = colours[labels] + generator.integers(-20, 20, (*size, 3))
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{stem}.jpg")
            Image.fromarray(np.where(labels == CLASSES, IGNORE, labels)).save(folder / "masks" / f"{stem}.png")


def state_facts(options: argparse.Namespace) -> Figures:
    """Tell the machine, and hold what is computed in float32, with and without TF32, against float64."""
    device = prepare(settings(options))
    yield "environment", environment(device, torch.get_num_threads())
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(1024, 1024, generator=generator).to(device) for _ in range(2)]
    images, weights = (torch.randn(size, generator=generator).to(device) for size in ((4, 64, 64, 64), (64, 64, 3, 3)))
    for tf32 in (False, True):
        prepare(settings(options, tf32=tf32))
        errors = {
            "matrix product": relative_error(torch.matmul, *matrices),
            "convolution": relative_error(conv2d, images, weights),
        }
        yield f"relative error, TF32 {'on' if tf32 else 'off'}", errors
        rounded = tf32 and device.type == "cuda" and bf16_support(device) == "native"  # TF32 came with bf16
        assert (max(errors.values()) > 5e-5) == rounded, f"TF32 is not {'used' if rounded else 'left out'}"


def relative_error(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> float:
    """Return how far a float32 result lies from that in float64, as a share of its norm."""
    exact = function(*(one.double() for one in inputs))
    return ((function(*inputs).double() - exact).norm() / exact.norm()).item()


# Correctness ---------------------------------------------------------------------------------------------------------


def run_tests(options: argparse.Namespace) -> Figures:
    """Run the tests that need a GPU, which hold its results against the CPU's; only name them in a dry run."""
    texts = {path: path.read_text() for path in sorted((REPOSITORY / "tests").rglob("test_*.py"))}
    files = [str(path) for path, text in texts.items() if "mark.gpu" in text or "ON_CPU_AND_GPU" in text]
    command = [sys.executable, "-m", "pytest", *files, "-m", "gpu", "-n", "0", "-p", "no:cacheprovider"]
    # Libraries of other versions may warn of what the suite has not met.
    command += ["--collect-only", "-q"] if options.dry_run else ["-v", "--tb=short", "-W", "default"]
    outcomes: dict[str, str] = {}
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="")
            if found := re.match(r"(tests/.+::.+?)(?: (PASSED|FAILED|ERROR|SKIPPED)\b.*)?$", line):
                outcomes[found[1]] = found[2] or "collected"
                yield "tests", dict(Counter(outcomes.values()))
                yield "not passed", [name for name, outcome in outcomes.items() if outcome in ("FAILED", "ERROR")]
    assert process.returncode == 0, f"pytest ended with {process.returncode}"


# What is trained in several ways: changes of the options, of the protocol, of the crops and of the recipe.
AUGMENT = Augment(scale=(0.75, 1.5), flip=True)
STEPS_THAT_MUST_NOT_WAIT = {
    "supervised": ({}, AUGMENT, None),
    "fp16": ({"precision": "fp16"}, AUGMENT, None),
    "averaged": ({"protocol": {"ema": 0.99}}, AUGMENT, None),
    "clipped": ({"protocol": {"clip_gradient": 1.0}}, AUGMENT, None),
    "beyond the image": ({}, Augment(scale=(0.2, 1.5)), None),
    "changed colours": ({}, Augment(jitter=0.2, hue=0.1, blur=1.5), None),
    "adversarial": ({}, AUGMENT, {}),
    "shuffled": ({}, AUGMENT, {"placebo": "shuffled"}),
    "noise": ({}, AUGMENT, {"placebo": "noise"}),
}


def find_waits(options: argparse.Namespace) -> Figures:
    """Tell by line of segbench how often training waits for the device, which its end does, and no step should."""
    for name, (changes, augment, recipe) in STEPS_THAT_MUST_NOT_WAIT.items():
        chosen = settings(options, **changes)
        prepare(chosen)
        job = (adversarial.Supervised if recipe is None else adversarial.Ours)(chosen)
        job.batches = crops(job.batches.split, chosen, 0, augment)
        if recipe:
            job.adversary = replace(job.adversary, recipe=adversarial.RECIPE.model_copy(update=recipe))
        with noting_waits() as found:
            job.train(chosen.steps)
        steps = WARM_UP + chosen.steps
        yield name, {line: f"{count} in {steps} steps" for line, count in found.items()} or f"none in {steps} steps"


@contextmanager
def noting_waits() -> Iterator[Counter[str]]:
    """Count inside the block by line of segbench where torch waits for a CUDA device."""
    found: Counter[str] = Counter()

    def note(message: Warning | str, *_: Any, **__: Any) -> None:
        if "synchronizing" in str(message):
            found[innermost_line()] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("warn")
        yield found
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode("default")


def innermost_line() -> str:
    """Return the innermost line of segbench or its plugins that is being run."""
    frame = sys._getframe()
    while frame is not None and not frame.f_globals["__name__"].startswith("segbench"):
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}:{frame.f_lineno}" if frame else "outside of segbench"


# Training ------------------------------------------------------------------------------------------------------------

FP32 = {"precision": "fp32", "channels_last": False}
POLICIES = {
    "fp32": FP32,
    "tf32": {**FP32, "tf32": True},
    "bf16": {"channels_last": False},
    "bf16 nhwc": {},
}


def measure_training(options: argparse.Namespace) -> Figures:
    """Compare segbench's loop with the bare model under each policy of numbers, and with a loop by hand in fp32."""
    policies = {"bf16 nhwc": {}} if options.dry_run else POLICIES
    candidates = {"plain fp32": Variant(Plain, FP32)}
    for policy, changes in policies.items():
        candidates |= {f"limit {policy}": Variant(Limit, changes), f"segbench {policy}": Variant(Ours, changes)}
    rates, _ = measure_interleaved(candidates, settings(options))
    yield "images/s", medians(rates)
    for policy in policies:
        ours = rates[f"segbench {policy}"]
        yield f"segbench / limit, {policy}", of_rounds(ratios(ours, rates[f"limit {policy}"]))
        yield f"segbench {policy} / plain fp32", of_rounds(ratios(ours, rates["plain fp32"]))


def measure_adversarial(options: argparse.Namespace) -> Figures:
    """Compare segbench's adversarial step with the two-pass form, and with its own supervised step."""
    candidates = {name: adversarial.CANDIDATES[name] for name in ("segbench", "two-pass", "supervised")}
    seconds, _ = measure_interleaved(candidates, settings(options))
    yield "seconds a step", medians(seconds)
    for other in ("two-pass", "supervised"):
        yield f"segbench / {other}", of_rounds(ratios(seconds["segbench"], seconds[other]))


# Calls of CUDA in a profile, by what they do.
CALLS = {
    "launches": re.compile(r"cu(da)?(Launch|GraphLaunch)"),
    "copies": re.compile(r"cu(da)?Memcpy"),
    "waits": re.compile(r"cu(da)?\w*Synchronize"),
    "operations of torch": re.compile(r"aten::"),
}


def count_launches(options: argparse.Namespace) -> Figures:
    """Count what a step launches, supervised and adversarial, once kernels are chosen."""
    chosen = settings(options, steps=1 if options.dry_run else 5)
    device = prepare(chosen)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    for name in ("supervised", "segbench"):
        job = adversarial.CANDIDATES[name](chosen)
        job.train(chosen.steps)
        with profile(activities=activities) as found:
            job.train(chosen.steps)
        events, steps = found.key_averages(), WARM_UP + chosen.steps
        counts = {what: sum(one.count for one in events if call.match(one.key)) for what, call in CALLS.items()}
        yield f"{name}, a step", {what: count / steps for what, count in counts.items()}


# Evaluation and memory -----------------------------------------------------------------------------------------------


def measure_evaluation(options: argparse.Namespace) -> Figures:
    """Compare an evaluation with confusion alone and the forward pass, counting with torchmetrics, forms of adding."""
    chosen = settings(options, **FP32)
    device = prepare(chosen)
    seconds = scoring.measured(scoring.jobs(chosen), chosen.rounds, device)
    yield "ms an image", {name: 1000 * found / chosen.images for name, found in medians(seconds).items()}
    for other in ("confusion alone", "forward"):
        yield f"all counts / {other}", of_rounds(ratios(seconds["all counts"], seconds[other]))
    for contest in counting.contests(device):
        rounds = [[counting.block(job, device) for job in (contest.ours, contest.theirs)] for _ in range(chosen.rounds)]
        yield f"{contest.name}, segbench / torchmetrics", of_rounds([ours / theirs for ours, theirs in rounds])
    truth, logits = (one.to(device) for one in counting.scene())
    bins, length = (truth.clamp(max=CLASSES) * CLASSES + logits.argmax(1)).flatten(1), CLASSES * (CLASSES + 1)
    for copies in (1, 16, confusion._COPIES):
        confusion._COPIES = copies
        seconds = counting.block(lambda: confusion.add_to_bins(bins, torch.ones_like(bins), length), device)
        yield f"ms to add to bins of {copies} copies", 1000 * seconds


def measure_memory(options: argparse.Namespace) -> Figures:
    """Tell memory and the shares of a step's time as a record would."""
    chosen = settings(options)
    prepare(chosen)
    for name in ("supervised", "segbench"):
        job = adversarial.CANDIDATES[name](chosen)
        outcome = job.train(chosen.steps)
        sizes = outcome.peak_bytes, outcome.reserved_bytes, job.batches.split.device_bytes
        named = zip(("peak", "reserved", "split"), sizes, strict=True)
        yield f"{name}, MB", {what: size and round(size / MEGABYTE, 1) for what, size in named}
        yield f"{name}, shares of time", outcome.shares
        del job


# Whole runs ----------------------------------------------------------------------------------------------------------


def run_end_to_end(options: argparse.Namespace) -> Figures:
    """Run a benchmark of short cells as a user does, its timing and report included."""
    with tempfile.TemporaryDirectory() as folder:
        began = now(torch.device("cpu"))
        hand_over.run_cells(Path(folder), 1 if options.dry_run else 2, ["--device", options.device])
        yield "seconds", now(torch.device("cpu")) - began
        for record in ResultsFolder(Path(folder) / "results", "shapes-smoke").records():
            yield (
                f"seed {record.seed}",
                {
                    "status": record.status,
                    "device": record.environment["device_name"],
                    "mIoU": record.scores.miou,
                    "images/s": record.train.images_per_second,
                    "peak MB": record.cost.train_peak_bytes / MEGABYTE,
                    "timed": len(record.inference or []),
                },
            )


class WholeBlock(Ours):
    """segbench's training loop, which tells the seconds of a block with its warm-up."""

    def block(self, steps: int) -> float:
        """Return seconds."""
        began = now(self.split.device)
        super().block(steps)
        return now(self.split.device) - began


def compile_twice(options: argparse.Namespace) -> Figures:
    """Tell the seconds of the first steps of two processes that compile the same, and what it is worth."""
    compiled = {"protocol": {"compile": True}}
    for which in ("first", "second"):
        seconds, _ = measure_interleaved({which: Variant(WholeBlock, compiled)}, settings(options, rounds=1, steps=1))
        yield f"seconds of the {which} process", seconds[which][0]
    rates, _ = measure_interleaved({"compiled": Variant(Ours, compiled), "eager": Ours}, settings(options))
    yield "images/s", medians(rates)
    yield "compiled / eager", of_rounds(ratios(rates["compiled"], rates["eager"]))


def measure_capture(options: argparse.Namespace) -> Figures:
    """Compare training whose generator's passes are CUDA graphs with the same as it is, in bf16 channels_last."""
    fast = {"precision": "bf16", "channels_last": True}
    rates, _ = measure_interleaved(
        {
            "captured": Variant(Ours, {"protocol": {**fast, "capture": "auto"}}),
            "eager": Variant(Ours, {"protocol": fast}),
        },
        settings(options),
    )
    yield "images/s", medians(rates)
    yield "captured / eager", of_rounds(ratios(rates["captured"], rates["eager"]))


def run_cells_at_once(options: argparse.Namespace) -> Figures:
    """Compare small cells that share a device with the same one after another, from the first to the last step."""
    number = "2" if options.dry_run else "8"
    seconds = {}
    for name, flags in (("one after another", []), ("at once", ["--jobs", number])):
        with tempfile.TemporaryDirectory() as folder:
            cells = hand_over.run_cells(Path(folder), int(number), ["--device", options.device, *flags])
            seconds[name] = max(cell["evaluate"] for cell in cells) - cells[0]["train"]
    yield "seconds", seconds
    yield "at once / one after another", seconds["one after another"] / seconds["at once"]


# Failures ------------------------------------------------------------------------------------------------------------


def run_out_of_memory(device: torch.device) -> None:
    """Ask for more than any device has."""
    torch.empty(2**60, dtype=torch.uint8, device=device)


def meet_a_wrong_label(device: torch.device) -> None:
    """Have a kernel fail, and meet its error at a later call."""
    cross_entropy(torch.zeros(1, CLASSES, 2, 2, device=device), torch.full((1, 2, 2), 99, device=device)).item()


def name_no_device(device: torch.device) -> None:
    """Ask for a device beyond the last."""
    resolve_device(f"cuda:{torch.cuda.device_count()}")


def fork_after_cuda(device: torch.device) -> None:
    """Ask for the device in a process that was forked after it was used."""
    torch.ones(1, device=device)
    in_another_process("fork", resolve_device, str(device))


def in_another_process(start: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a process that is started in this way."""
    with ProcessPoolExecutor(1, multiprocessing.get_context(start)) as pool:
        return pool.submit(function, *arguments).result()


FAILURES = (run_out_of_memory, meet_a_wrong_label, name_no_device, fork_after_cuda)


def provoke_failures(options: argparse.Namespace) -> Figures:
    """Tell what is said of each failure, each in a process of its own, since a device may not recover from it."""
    for fail in FAILURES:
        try:
            said = in_another_process("spawn", say_how_it_fails, fail, options.device)
        except BrokenProcessPool:
            said = "the process died"
        yield fail.__name__.replace("_", " "), said


def say_how_it_fails(fail: Callable[[torch.device], None], device: str) -> str:
    """Return the type and the message of the error."""
    where = resolve_device(device)
    try:
        with name_device_errors(where):
            fail(where)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return "no error"


BLOCKS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "data": make_data,
    "facts": state_facts,
    "tests": run_tests,
    "waits": find_waits,
    "training": measure_training,
    "adversarial": measure_adversarial,
    "launches": count_launches,
    "evaluation": measure_evaluation,
    "memory": measure_memory,
    "run": run_end_to_end,
    "compile": compile_twice,
    "capture": measure_capture,
    "cells at once": run_cells_at_once,
    "failures": provoke_failures,
}
