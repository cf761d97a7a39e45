"""How fast counting is beside torchmetrics: label maps to confusion matrix, and logits to confusion matrix.

Both count one 360x480 image with 11 classes and void in one process, in interleaved blocks (A B A B), so
that what disturbs the machine disturbs both. A ratio is the median over the rounds; below 1, segbench is faster.

    python benchmarks/harness/counting.py [--device cuda] [--rounds 30] [--threads N]

The bars: label maps at most 1/5, logits at most 1/2.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import torch
import torchmetrics
from interleaving import add_device, now, prepare
from torch.nn import functional
from torchmetrics.classification import MulticlassJaccardIndex

from segbench.engine.device import environment
from segbench.engine.evaluation.confusion import classify, confusion_matrices

if TYPE_CHECKING:
    from collections.abc import Callable

NUM_CLASSES, IGNORE_INDEX, SIZE = 11, 255, (360, 480)
BLOCK_SECONDS = 0.1


@dataclass(frozen=True)
class Contest:
    """The same job done by segbench and by torchmetrics, and the ratio that is asked for."""

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    bar: float


def main() -> None:
    """Measure all contests and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="blocks of each side")
    parser.add_argument("--threads", type=int, help="torch threads; by default torch's own choice")
    add_device(parser)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = prepare(arguments)
    print_facts(device)
    for contest in contests(device):
        compete(contest, arguments.rounds, device)


def print_facts(device: torch.device) -> None:
    """Print what the figures depend on."""
    facts = environment(device, torch.get_num_threads())
    for name in ("device_name", "cpu", "cores", "threads", "torch", "python", "platform"):
        print(f"{name}: {facts[name]}")
    print(f"torchmetrics: {torchmetrics.__version__}")
    print(f"instructions: {torch.backends.cpu.get_cpu_capability()}\n")


def contests(device: torch.device) -> list[Contest]:
    """Build the contests: the same tensors go to both sides, int64 as loaders and argmax give them."""
    truth, logits = (one.to(device) for one in scene())
    channels_last = logits.contiguous(memory_format=torch.channels_last)
    prediction = logits.argmax(dim=1)
    return [
        Contest("label maps", lambda: count(prediction, truth), update(prediction, truth), 1 / 5),
        Contest("logits", lambda: count(classify(logits), truth), update(logits, truth), 1 / 2),
        Contest(
            "logits, channels_last",
            lambda: count(classify(channels_last), truth),
            update(channels_last, truth),
            1 / 2,
        ),
    ]


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels (1, H, W) in patches, some of them void, and logits (1, K, H, W) that are right for most pixels."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.randint(0, NUM_CLASSES + 1, (1, 1, 12, 16), generator=generator).float()
    labels = functional.interpolate(patches, size=SIZE, mode="nearest")[:, 0].long()
    answers = functional.one_hot(labels.clamp(max=NUM_CLASSES - 1), NUM_CLASSES).permute(0, 3, 1, 2)
    logits = 3 * answers + torch.randn(answers.shape, generator=generator)
    return labels.masked_fill(labels == NUM_CLASSES, IGNORE_INDEX), logits.contiguous()


def count(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Count with segbench."""
    return confusion_matrices(prediction, truth, NUM_CLASSES, IGNORE_INDEX)


def update(prediction: torch.Tensor, truth: torch.Tensor) -> Callable[[], object]:
    """Return the same done by torchmetrics, having checked that it counts the same."""
    metric = MulticlassJaccardIndex(num_classes=NUM_CLASSES, ignore_index=IGNORE_INDEX).to(truth.device)
    metric.update(prediction, truth)
    labels = classify(prediction) if prediction.ndim == 4 else prediction
    assert torch.equal(metric.confmat, count(labels, truth)[0])
    return lambda: metric.update(prediction, truth)


def compete(contest: Contest, rounds: int, device: torch.device) -> None:
    """Run blocks of both sides interleaved and print the medians."""
    block(contest.ours, device), block(contest.theirs, device)  # warm-up
    pairs = [(block(contest.ours, device), block(contest.theirs, device)) for _ in range(rounds)]
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    ours, theirs = (1000 * median(side) for side in zip(*pairs, strict=True))
    verdict = "kept" if median(ratios) <= contest.bar else "missed"
    print(
        f"{contest.name:22}  segbench {ours:7.3f} ms  torchmetrics {theirs:7.3f} ms  ratio {median(ratios):.3f} "
        f"({ratios[0]:.3f} to {ratios[-1]:.3f} in {rounds} rounds)  bar {contest.bar:.2f}: {verdict}"
    )


def block(job: Callable[[], object], device: torch.device) -> float:
    """Return the mean seconds of a job over a block of time; a device has then done all that was queued."""
    started, done = now(device), 0
    while time.perf_counter() - started < BLOCK_SECONDS:
        job()
        done += 1
    return (now(device) - started) / done


if __name__ == "__main__":
    main()
