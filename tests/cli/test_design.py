from __future__ import annotations

import json

import pytest

from segbench.cli import main

PLUGIN = """
import numpy as np
from segbench import Component, Dataset, Sample, hookimpl

def net(in_channels, num_classes, *, width: int = 8): ...

def entropy(num_classes, ignore_index): ...

def dots():
    samples = [Sample(np.full((4, 4), i, np.uint8), np.zeros((4, 4), np.uint8), str(i)) for i in range(2)]
    return Dataset(["a", "b"], [(0, 0, 0), (9, 9, 9)], {"train": samples}, channels=1)

@hookimpl
def segbench_generators():
    yield Component("net", net, "A network")

@hookimpl
def segbench_losses():
    yield Component("entropy", entropy, "A loss")

@hookimpl
def segbench_datasets():
    yield Component("dots", dots, "Dots")
"""

BENCHMARK = """\
name: my-bench
datasets: {dots: mine/dots}
protocol: {budget: {steps: 10}, threads: 1}
seeds: [0, 1, 2, 3, 4, 5]
methods:
  base: {generator: mine/net, losses: [mine/entropy]}
  wide: {extends: base, generator: {use: mine/net, width: 9}}
"""

ALONE = BENCHMARK[: BENCHMARK.index("  wide:")]


@pytest.fixture(autouse=True)
def _plugin_and_benchmark(install_plugin, tmp_path, monkeypatch):
    install_plugin("my-dist", {"mine": "my_design_plugin"}, {"my_design_plugin.py": PLUGIN})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.yaml").write_text(BENCHMARK)


def shown(capsys, *arguments):
    assert main(["plan", "bench.yaml", *arguments]) == 0
    return capsys.readouterr().out


def test_what_the_design_can_show_is_told_before_it_runs(capsys):
    lines = shown(capsys).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("what 6 seeds can show"))
    assert "of 1 comparison in a ranking (the first judged at 95 %)" in lines[start]
    assert lines[start + 1].split("  ")[-1].strip() == "SEEDS FOR 1.0"
    # Of seeds with sd .5: (2.571 + 0.920) * .7071 / sqrt(6) = 1.008 points.
    assert lines[start + 2].split()[-4:] == ["0.7", "1.0", "18", "7"]
    assert lines[start + 3].split()[-4:] == ["1.4", "2.0", "65", "18"]
    assert "the exact sign-flip test over 6 seeds cannot fall below p = 0.031" in lines[start + 5]


def test_json_holds_fractions(capsys):
    design = json.loads(shown(capsys, "--json"))["design"]
    assert (design["seeds"], design["comparisons"], design["sign_flip_floor"]) == (6, 1, 0.03125)
    sight = design["sights"][0]
    assert sight["smallest"] == pytest.approx(0.01008, abs=1e-5)
    assert sight["seeds_for"] == [{"difference": 0.005, "seeds": 18}, {"difference": 0.01, "seeds": 7}]
    assert sight["freedom"] is None


def test_one_seed_is_said_to_decide_nothing(capsys):
    text = shown(capsys, "--seeds", "0")
    assert "one seed decides nothing" in text
    assert "nothing" in next(line for line in text.splitlines() if line.startswith("  assumed"))
    assert json.loads(shown(capsys, "--seeds", "0", "--json"))["design"]["sights"][0]["smallest"] is None


def test_where_nothing_is_compared_nothing_is_said(capsys, tmp_path):
    (tmp_path / "bench.yaml").write_text(ALONE)
    assert "can show" not in shown(capsys)
    assert json.loads(shown(capsys, "--json"))["design"] is None
