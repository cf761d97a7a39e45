from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from segbench.cli import main
from segbench.config.benchmark import packaged_benchmarks
from segbench.registry.extras import install_command
from segbench.store.folder import ResultsFolder
from segbench.store.record import Record

PLUGIN = """
import numpy as np
from segbench import Component, Dataset, Sample, hookimpl

def net(in_channels, num_classes, *, width: int = 8): ...

def entropy(num_classes, ignore_index): ...

def dots(*, images: int = 2, val: bool = False):
    print("making dots")
    samples = [Sample(np.full((4, 4), i, np.uint8), np.zeros((4, 4), np.uint8), str(i)) for i in range(images)]
    splits = {"train": samples, "val": samples} if val else {"train": samples}
    return Dataset(["a", "b"], [(0, 0, 0), (9, 9, 9)], splits, channels=1)

def pictures(root): ...

@hookimpl
def segbench_generators():
    yield Component("net", net, "A network")
    yield Component("refiner", net, "A refiner", maps="image, labels -> labels")

@hookimpl
def segbench_losses():
    yield Component("entropy", entropy, "A loss")

@hookimpl
def segbench_datasets():
    yield Component("dots", dots, "Dots")
    yield Component("pictures", pictures, "Pictures")
"""


BENCHMARK = """\
name: my-bench
datasets: {dots: mine/dots}
protocol: {budget: {steps: 10}, precision: fp16, threads: 1}
seeds: [0, 1]
methods:
  tuned: {extends: base, start_from: base}
  base: {generator: mine/net, losses: [mine/entropy]}
"""


@pytest.fixture(autouse=True)
def _plugin_and_benchmark(install_plugin, tmp_path, monkeypatch):
    install_plugin("my-dist", {"mine": "my_plan_plugin"}, {"my_plan_plugin.py": PLUGIN})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.yaml").write_text(BENCHMARK)


def planned(capsys, *arguments):
    assert main(["plan", "bench.yaml", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_cells_are_shown_upstream_first_with_needs_and_keys(capsys):
    assert main(["plan", "bench.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "my-bench (bench.yaml)"
    assert lines[1].split() == ["DATASET", "METHOD", "SEED", "NEEDS", "KEY", "RECORDED"]
    rows = [line.split() for line in lines[2:6]]
    assert [row[:3] for row in rows] == [["dots", name, seed] for name in ("base", "tuned") for seed in "01"]
    assert rows[2][3:5] == ["base", "(start_from)"]
    assert all(len(row[-2]) == 16 and row[-1] == "no" for row in rows)
    assert lines[6] == "4 cells, 0 of them recorded in results/my-bench"


def test_one_fold_of_a_cross_validated_dataset_is_planned(capsys):
    folds = ["--set", "datasets.dots={use: mine/dots, folds: 2}", "--seeds", "0"]
    subsets = [cell["subset"] for cell in planned(capsys, *folds)["cells"]]
    assert sorted(subsets) == ["test fold 1/2"] * 2 + ["test fold 2/2"] * 2
    assert {cell["subset"] for cell in planned(capsys, *folds, "--folds", "2")["cells"]} == {"test fold 2/2"}


REFINED = """
  fine: {generator: mine/refiner, losses: [mine/entropy], refines: {method: base, folds: 3}, labels: {fraction: 0.5}}
"""


def test_subsets_are_shown_where_there_are_any(capsys, tmp_path):
    (tmp_path / "bench.yaml").write_text(BENCHMARK + REFINED)
    assert main(["plan", "bench.yaml", "--seeds", "0", "--only", "fine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    header, *rows = (" ".join(line[: lines[1].index("KEY")].split()) for line in lines[1:8])
    assert header == "DATASET SUBSET METHOD SEED NEEDS"
    assert rows == [
        "dots all base 0",
        "dots labels 0.5 base 0",
        "dots labels 0.5, fold 1/3 base 0",
        "dots labels 0.5, fold 2/3 base 0",
        "dots labels 0.5, fold 3/3 base 0",
        "dots labels 0.5 fine 0 base (refines, 3 folds)",
    ]


def test_json_names_every_fold_that_is_needed(capsys, tmp_path):
    (tmp_path / "bench.yaml").write_text(BENCHMARK + REFINED)
    found = planned(capsys, "--seeds", "0", "--only", "fine")
    _, *base, fine = found["cells"]
    assert fine["needs"] == [
        {"reason": reason, "method": "base", "key": cell["key"]}
        for reason, cell in zip(["refines", *(f"refines fold {i}/3" for i in (1, 2, 3))], base, strict=True)
    ]
    assert fine["subset"] == "labels 0.5"


TUNED = """
  trained: {extends: base, tune: {protocol.optimizer.lr: [0.1, 0.2], generator.width: [3, 4]}}
  long: {extends: base, protocol: {budget: {like: trained, in: seconds}}}
tune: {trials: 2, seed: 9}
"""


def test_trials_and_equal_seconds_are_show(capsys, tmp_path):
    (tmp_path / "bench.yaml").write_text(BENCHMARK + TUNED)
    chosen = ["--seeds", "0", "--only", "long", "--set", "datasets.dots={use: mine/dots, val: true}"]
    assert main(["plan", "bench.yaml", *chosen]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [" ".join(line[: lines[1].index("KEY")].split()) for line in lines[2:6]]
    assert rows == ["dots trained#1 9", "dots trained#2 9", "dots trained 0 2 trials", "dots long 0 trained (budget)"]
    found = planned(capsys, *chosen)
    assert list(found["trials"]) == ["trained#1", "trained#2"]
    told = [
        f"trial {name}: protocol.optimizer.lr: {settings['protocol.optimizer.lr']}, "
        f"generator.width: {settings['generator.width']}"
        for name, settings in found["trials"].items()
    ]
    assert [line for line in lines if line.startswith("trial ")] == told
    reasons = [(need["reason"], need["method"]) for need in found["cells"][2]["needs"]]
    assert reasons == [("trial 1/2", "trained#1"), ("trial 2/2", "trained#2")]


def test_a_dataset_without_val_cannot_be_tuned_on(capsys, tmp_path):
    (tmp_path / "bench.yaml").write_text(BENCHMARK + TUNED)
    assert main(["plan", "bench.yaml"]) == 2
    assert "methods are tuned on val, but this dataset has no such split" in capsys.readouterr().err


def test_json_has_the_same_facts(capsys):
    found = planned(capsys, "--device", "cpu")
    assert (found["benchmark"], found["source"], found["results"]) == ("my-bench", "bench.yaml", "results/my-bench")
    assert found["datasets"]["dots"]["use"] == "mine/dots"
    assert found["datasets"]["dots"]["problem"] is None
    base, tuned = (next(cell for cell in found["cells"] if cell["method"] == name) for name in ("base", "tuned"))
    assert tuned["needs"] == [{"reason": "start_from", "method": "base", "key": base["key"]}]
    assert (base["subset"], base["seed"], base["recorded"]) == ("all", 0, None)
    assert [warning.split(", ")[0] for warning in found["warnings"]] == [
        "all methods: no verdict below 3 seeds",
        "all methods: fp16 is made for GPUs; on the CPU it is slow and may not be supported",
    ]


def test_choices_of_the_command_line_are_made(capsys):
    found = planned(capsys, "--only", "base", "--seeds", "7,8", "--set", "methods.base.generator.width=3")
    assert [(cell["method"], cell["seed"]) for cell in found["cells"]] == [("base", 7), ("base", 8)]
    plain = planned(capsys, "--only", "base", "--seeds", "7,8")
    assert {cell["key"] for cell in found["cells"]}.isdisjoint(cell["key"] for cell in plain["cells"])


def test_methods_that_a_chosen_one_needs_are_kept(capsys):
    assert {cell["method"] for cell in planned(capsys, "--only", "tuned")["cells"]} == {"base", "tuned"}


def record(key, status):
    facts = {"benchmark": "my-bench", "dataset": "dots", "subset": "all", "method": "base", "seed": 0}
    return Record(key=key, status=status, spec={}, environment={}, **facts)


def test_records_are_show(capsys, tmp_path):
    keys = [cell["key"] for cell in planned(capsys)["cells"]]
    folder = ResultsFolder(tmp_path / "done", "my-bench")
    folder.write(record(keys[0], "ok"))
    folder.write(record(keys[1], "failed"))
    folder.record_path(keys[2]).write_text("{")
    found = planned(capsys, "--results", "done")
    assert [cell["recorded"] for cell in found["cells"]] == ["ok", "failed", "corrupt", None]
    main(["plan", "bench.yaml", "--results", "done"])
    assert "4 cells, 1 of them recorded in done/my-bench" in capsys.readouterr().out
    assert folder.record_path(keys[2]).read_text() == "{"


def test_warnings_depend_on_the_device(capsys):
    main(["plan", "bench.yaml", "--device", "cpu"])
    assert "warning: all methods: fp16 is made for GPUs" in capsys.readouterr().out
    main(["plan", "bench.yaml", "--device", "cuda:0"])
    assert "fp16" not in capsys.readouterr().out.partition("warning")[2]


def test_without_the_data_keys_are_unknown(capsys, tmp_path):
    (tmp_path / "bench.yaml").write_text(BENCHMARK.replace("mine/dots", "{use: mine/pictures, root: nowhere}"))
    assert main(["plan", "bench.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all("key unknown" in line for line in lines[2:6])
    assert lines[7].startswith("key unknown without the data of dots: dataset mine/pictures: there is no folder")
    assert str(tmp_path / "nowhere") in lines[7]
    assert {cell["key"] for cell in planned(capsys)["cells"]} == {None}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench.yaml", "--set", "protocol.bugdet.steps=1"], "Did you mean 'budget'?"),
        (
            ["bench.yaml", "--only", "bsae"],
            "--only bsae: there is no method 'bsae'. Did you mean 'base'? Available: tuned, base.",
        ),
        (["bench.yaml", "--seeds", "a"], "--seeds a: write whole numbers"),
        (["absent.yaml"], "there is no benchmark file absent.yaml"),
        (["quikstart"], "Did you mean 'quickstart'?"),
        (["bench.yaml", "--set", "methods.base.start_from=tuned"], "methods.base.start_from: "),
        (["bench.yaml", "--set", "methods.base.adversarial=mine/entropy"], "under adversarial: must be one with"),
    ],
)
def test_a_mistake_is_an_error_without_a_traceback(capsys, arguments, message):
    assert main(["plan", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("name", packaged_benchmarks())
def test_every_packaged_benchmark_can_be_planned(capsys, name):
    whole = ["plan", name, "--json"]
    if name == "adversarial-refinement" and find_spec("pydensecrf") is None:
        assert main(whole) == 2
        assert install_command("crf") in capsys.readouterr().err
        whole += ["--only", "deeplab+refiner+critic"]
    assert main(whole) == 0
    assert json.loads(capsys.readouterr().out)["benchmark"] == name


def test_planning_loads_no_torch():
    code = "import sys; from segbench.cli import main; main(['plan', 'quickstart']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "nuclei" in done.stdout


ALONE = """\
name: my-bench
datasets: {dots: mine/dots}
protocol: {budget: {steps: 10}, threads: 1}
seeds: [0, 1, 2, 3, 4, 5]
methods:
  base: {generator: mine/net, losses: [mine/entropy]}
"""
COMPARED = f"{ALONE}  wide: {{extends: base, generator: {{use: mine/net, width: 9}}}}\n"


def show(capsys, *arguments, text=COMPARED):
    Path("bench.yaml").write_text(text)
    assert main(["plan", "bench.yaml", *arguments]) == 0
    return capsys.readouterr().out


def test_what_the_design_can_show_is_told_before_it_runs(capsys):
    lines = show(capsys).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("what 6 seeds can detect"))
    assert "in 1 comparison of a ranking (the first tested at 95 %)" in lines[start]
    assert lines[start + 1].split("  ")[-1].strip() == "SEEDS FOR 1.0"
    # Of seeds with sd .5: (2.571 + 0.920) * .7071 / sqrt(6) = 1.008 points.
    assert lines[start + 2].split()[-4:] == ["0.7", "1.0", "18", "7"]
    assert lines[start + 3].split()[-4:] == ["1.4", "2.0", "65", "18"]
    assert "the exact sign-flip test over 6 seeds cannot fall below p = 0.031" in lines[start + 5]


def test_json_holds_fractions(capsys):
    design = json.loads(show(capsys, "--json"))["design"]
    assert (design["seeds"], design["comparisons"], design["sign_flip_floor"]) == (6, 1, 0.03125)
    sight = design["sights"][0]
    assert sight["smallest"] == pytest.approx(0.010144, abs=1e-5)
    assert sight["seeds_for"] == [{"difference": 0.005, "seeds": 18}, {"difference": 0.01, "seeds": 7}]
    assert sight["freedom"] is None


def test_one_seed_is_said_to_decide_nothing(capsys):
    text = show(capsys, "--seeds", "0")
    assert "one seed decides nothing" in text
    assert "nothing" in next(line for line in text.splitlines() if line.startswith("  assumed"))
    assert json.loads(show(capsys, "--seeds", "0", "--json"))["design"]["sights"][0]["smallest"] is None


def test_where_nothing_is_compared_nothing_is_said(capsys):
    assert "can detect" not in show(capsys, text=ALONE)
    assert json.loads(show(capsys, "--json", text=ALONE))["design"] is None
