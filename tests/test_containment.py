"""Plugins that misbehave at run time, through the program: they cost their own cells, and what is said names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import records

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = """
import ctypes, subprocess, sys, threading, time
from segbench import Component, hookimpl

def build(in_channels, num_classes, *, fault: str = "none"):
    import torch

    class Network(torch.nn.Conv2d):
        trained = evaluated = 0  # times; the first of each is that of the preflight, where nothing shows yet

        def forward(self, images):
            if self.training:
                self.trained += 1
                if self.trained == 2:
                    training_fault()
            else:
                self.evaluated += 1
            logits = super().forward(images)
            if fault == "nan in training" and self.trained == 2:
                return logits * float("nan")
            if self.training or self.evaluated == 1:
                return logits
            return spoilt(logits)

    def training_fault():
        if fault == "segfault":
            ctypes.string_at(0)
        elif fault == "exit":
            sys.exit("enough")
        elif fault == "memory":
            torch.empty(10**15)
        elif fault == "hog":
            held = []
            while True:
                held.append(bytearray(b"1" * 20_000_000))
        elif fault == "hang":
            while True:
                time.sleep(0.1)
        elif fault == "process":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        elif fault == "thread":
            threading.Thread(target=time.sleep, args=(600,)).start()

    def spoilt(logits):
        if fault == "shape":
            return logits[:, :-1]
        if fault == "last batch" and len(logits) == 1:
            return logits[0]
        if fault == "nan in evaluation":
            return logits.clone().index_fill_(2, torch.tensor([0]), float("nan"))
        return logits

    return Network(in_channels, num_classes, 1)

def build_vector(num_classes, ignore_index):
    return lambda output, target: output.mean(dim=(1, 2, 3))

@hookimpl
def segbench_generators():
    yield Component("net", build, "Does what its fault says")

@hookimpl
def segbench_losses():
    yield Component("vector", build_vector, "One value an image")
"""

FILE = """
name: containment
datasets: {shapes: {use: data/shapes, size: [18, 18], classes: 3, train: 4, val: 2, test: 3}}
protocol:
  {budget: {steps: 2}, batch_size: 2, crop: [8, 8], threads: 1, validations: 0, keep: {model: none, samples: 1},
   timing: {iterations: 1, seconds: 0.01, max_seconds: 0.02, sweep: 0}}
seeds: [0]
methods:
"""
METHOD = "  {name}: {{generator: {{use: wild/net, fault: {fault}}}, losses: [{loss}]}}\n"


def write_benchmark(folder: Path, *faults: str) -> None:
    """Write a benchmark with a method without a fault and one of each fault, named after it."""
    methods = {"good": ("none", "losses/cross_entropy")}
    methods |= {fault.replace(" ", "-"): (fault, "losses/cross_entropy") for fault in faults if fault != "vector"}
    methods |= {"vector": ("none", "wild/vector")} if "vector" in faults else {}
    lines = [METHOD.format(name=name, fault=fault, loss=loss) for name, (fault, loss) in methods.items()]
    (folder / "bench.yaml").write_text(FILE + "".join(lines))


# What the record says, and whether it blames the plugin: a network that trained for a while may have diverged.
FAULTS = {
    "shape": ("(wild_plugin.build.<locals>.Network) returned a tensor (2, 2, 18, 18) in eval", True),
    "last batch": (
        "(wild_plugin.build.<locals>.Network) returned a tensor (3, 18, 18) in eval",
        True,
    ),
    "nan in training": ("the output of generator wild/net is not finite since step 2, and all was finite", False),
    "nan in evaluation": ("generator wild/net returned NaN in evaluation, for 3 of 3 images of test, first", True),
    "segfault": ("killed by SIGSEGV (a crash in native code)", True),
    "exit": ("SystemExit: enough", True),
    "memory": ("out of memory on cpu: ", True),
    "vector": ("loss wild/vector returned a tensor (2,) for an output (2, 3, 8, 8); expected a scalar", True),
}


def test_each_fault_costs_its_own_cell_and_its_plugin_is_named(tmp_path, install_plugin, segbench):
    install_plugin("wild", {"wild": "wild_plugin"}, {"wild_plugin.py": PLUGIN})
    write_benchmark(tmp_path, *FAULTS, "process", "thread")
    result = segbench(tmp_path, "run", "bench.yaml", "--device", "cpu")
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr

    found = records(tmp_path)
    assert [name for name, record in found.items() if record["status"] == "ok" and record["inference"]]
    assert {name for name, record in found.items() if record["status"] == "ok"} == {"good", "process", "thread"}
    for fault, (cause, blamed) in FAULTS.items():
        error = found[fault.replace(" ", "-")]["error"]
        assert cause in error["cause"], fault
        assert error["plugin"] == ("wild" if blamed else None), fault

    assert "shapes / process / seed 0: plugin 'wild' left a process running, now killed: " in result.stderr
    for name in ("good", "process", "thread"):
        assert f"shapes / {name} / seed 0: ok in " in result.stderr
    listed = segbench(tmp_path, "list", "generators")
    assert listed.returncode == 0
    assert "wild/net" in listed.stdout


@pytest.mark.slow
def test_a_plugin_that_hangs_or_takes_all_memory_costs_its_own_cell_and_is_named(tmp_path, install_plugin, segbench):
    install_plugin("wild", {"wild": "wild_plugin"}, {"wild_plugin.py": PLUGIN})
    write_benchmark(tmp_path, "hang", "hog")
    limits = ["--timeout", "15", "--memory-limit", "2"]
    result = segbench(tmp_path, "run", "bench.yaml", "--device", "cpu", *limits)
    assert result.returncode == 1, result.stderr
    found = records(tmp_path)
    assert found["good"]["status"] == "ok"
    causes = {"hang": "timed out after 15 s", "hog": "out of memory: used "}
    for name, cause in causes.items():
        assert found[name]["error"]["cause"].startswith(cause)
        assert found[name]["error"]["plugin"] == "wild"
