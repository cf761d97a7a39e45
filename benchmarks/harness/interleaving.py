"""Candidates in processes of their own, measured in interleaved blocks, so that what disturbs one disturbs all."""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from segbench.config.protocol import TrainingProtocol
from segbench.engine.device import device_name, enter_device, resolve_device
from segbench.engine.numerics import choose_kernels
from segbench.engine.training.clock import synchronize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection


class Candidate(Protocol):
    """One way to do the job; it runs in one process and keeps its state from block to block."""

    def block(self, steps: int) -> float:
        """Do so many steps after a warm-up that is not counted; return the figure that is compared."""

    def result(self) -> object:
        """Return what is reported at the end."""


@dataclass(frozen=True)
class Variant:
    """A candidate under other options than those that all are given."""

    make: Callable[[argparse.Namespace], Candidate]
    changes: Mapping[str, Any]

    def __call__(self, options: argparse.Namespace) -> Candidate:
        """Make the candidate."""
        changed = argparse.Namespace(**{**vars(options), **self.changes})
        prepare(changed)
        return self.make(changed)


def measure_interleaved(
    candidates: Mapping[str, Callable[[argparse.Namespace], Candidate]], options: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, object]]:
    """Return the figures of each candidate, one a round, and its result; `options` has `rounds` and `steps`."""
    context = multiprocessing.get_context("spawn")
    figures = {name: [] for name in candidates}
    with ExitStack() as stack:  # closed pipes end the candidates, also where one of them failed
        connections = {}
        for name, make in candidates.items():
            ours, theirs = context.Pipe()
            connections[name] = stack.enter_context(ours)
            with theirs:
                context.Process(target=serve, args=(make, options, theirs)).start()
        for _ in range(options.rounds):
            for name, connection in connections.items():
                connection.send(options.steps)
                figures[name].append(connection.recv())
        results = {}
        for name, connection in connections.items():
            connection.send(None)
            results[name] = connection.recv()
    return figures, results


def serve(make: Callable[[argparse.Namespace], Candidate], options: argparse.Namespace, connection: Connection) -> None:
    """Run blocks as they are asked for, then send the result."""
    prepare(options)
    candidate = make(options)
    while (steps := connection.recv()) is not None:
        connection.send(candidate.block(steps))
    connection.send(candidate.result())


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the device, and of how it computes."""
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--tf32", action="store_true", help="let a GPU multiply in TF32")


def prepare(options: argparse.Namespace) -> torch.device:
    """Make the options' device the current one, and have all that is compared on it compute alike; return it."""
    choose_kernels(TrainingProtocol(budget={"steps": 1}, tf32=options.tf32))
    return enter_device(options.device)


def now(device: torch.device) -> float:
    """Return the clock's seconds once the device has done all queued work."""
    synchronize(device)
    return time.perf_counter()


def work_seconds(device: torch.device) -> float:
    """Return the CPU's seconds, which other processes disturb least; those of the clock where another device works."""
    return time.process_time() if device.type == "cpu" else now(device)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that all such scripts share."""
    add_device(parser)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--rounds", type=int, default=3, help="blocks of each candidate")
    parser.add_argument("--steps", type=int, default=20, help="counted steps of a block")


def print_facts(options: argparse.Namespace) -> None:
    """Print what the figures depend on."""
    device = resolve_device(options.device)
    processor = platform.processor() or platform.machine()
    if device.type != "cpu":
        print(f"{device}: {device_name(device)}, TF32 {'on' if options.tf32 else 'off'}, CUDA {torch.version.cuda}")
    instructions = torch.backends.cpu.get_cpu_capability()
    print(f"{processor}, {instructions}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{options.precision}, {'channels_last' if options.channels_last else 'contiguous'}")


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratios of two candidates' figures, one a round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Return the median, and every round's value."""
    return f"{statistics.median(values):.3f} (rounds: {', '.join(f'{value:.3f}' for value in values)})"
