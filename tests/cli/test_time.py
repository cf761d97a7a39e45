from __future__ import annotations

import json
import re

import pytest
from scipy.stats import gmean

from segbench.cli import main
from segbench.cli.options import parse_size
from segbench.cli.time import seconds_a_method
from segbench.config.protocol import MOST_THREADS, Budget, TrainingProtocol
from segbench.config.timing import Timing
from segbench.errors import SpecError
from segbench.stats.timing import ratio, throughput_interval

NARROW = "{use: basic/fcn, width: 4}"
SHAPES = ["--dataset=data/shapes", "--option=size=[24, 32]", "--option=train=2", "--option=val=1", "--option=test=2"]
BRIEF = [
    "--iterations=3",
    "--seconds=0.02",
    "--max-seconds=0.2",
    "--batch=2",
    "--sweep=2",
    "--threads=1",
    "--device=cpu",
]

BENCHMARK = """\
name: own
datasets: {shapes: {use: data/shapes}}
protocol: {budget: {steps: 1}, precision: bf16}
seeds: [0]
methods:
  fcn: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  images: {generator: gan/spade, discriminator: gan/patchgan, adversarial: {use: gan/hinge}}
  refiner: {generator: refine/unet, losses: [losses/cross_entropy], refines: {method: fcn, folds: 2}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The file and the content that one real run of two methods left."""
    path = tmp_path_factory.mktemp("time") / "speeds.json"
    assert main(["time", "basic/fcn", NARROW, *SHAPES, *BRIEF, "-o", str(path)]) == 0
    return path, json.loads(path.read_text())


def failure(capsys, *arguments):
    assert main(["time", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    [message] = [line for line in captured.err.splitlines() if not line.startswith("timing ")]
    return message


def test_both_methods_are_timed_in_one_session(run):
    fcn, narrow = run[1]["methods"]
    assert (fcn["method"], narrow["method"]) == ("basic/fcn", "basic/fcn width=4")
    assert narrow["generator"] == {"use": "basic/fcn", "options": {**fcn["generator"]["options"], "width": 4}}
    assert fcn["timing"]["session"] == narrow["timing"]["session"]
    assert fcn["timing"]["rivals"] == ["basic/fcn", "basic/fcn width=4"]


def test_all_stages_are_timed_at_both_batch_sizes_of_the_data(run):
    for method in run[1]["methods"]:
        rows = [(row["batch"], row["stage"]) for row in method["inference"]]
        assert rows == [(batch, stage) for batch in (1, 2) for stage in ("forward", "labels", "loading")]
        assert {tuple(row["size"]) for row in method["inference"]} == {(24, 32)}
        assert {row["budget"] for row in method["inference"]} == {"reduced"}


def test_intervals_and_ratios_are_those_of_the_blocks(run):
    fcn, narrow = run[1]["methods"]
    for one, other in zip(narrow["inference"], fcn["inference"], strict=True):
        bounds = throughput_interval(one["blocks"])
        assert one["interval"] == (None if bounds is None else pytest.approx(bounds))
        rounds = min(len(one["blocks"]), len(other["blocks"]))
        assert rounds >= 1
        assert other["ratio"] is None
        if rounds > 1:
            assert one["ratio"]["estimate"] == pytest.approx(
                gmean(one["blocks"][:rounds]) / gmean(other["blocks"][:rounds])
            )
            assert one["ratio"]["interval"] == pytest.approx(ratio(one["blocks"], other["blocks"]).interval)


def test_conditions_and_budget_are_noted(run):
    content = run[1]
    assert content["conditions"].items() >= {
        ("classes", 4),
        ("channels", 3),
        ("device", "cpu"),
        ("precision", "fp32"),
        ("threads", 1),
        ("compile", False),
    }
    assert content["conditions"]["size"] == [24, 32]
    assert content["budget"] == {"iterations": 3, "seconds": 0.02, "max_seconds": 0.2}
    assert content["dataset"] == "data/shapes"
    assert (content["failures"], content["remarks"], content["against"]) == ({}, [], None)
    assert all(method["timing"]["before"]["load"] is not None for method in content["methods"])


def test_the_best_batch_comes_from_the_sweep(run):
    for method in run[1]["methods"]:
        assert method["best_batch"] in method["timing"]["sweep"]
        assert method["best_batch"]["batch"] <= 2


def test_with_a_size_nothing_is_read_and_a_former_run_stands_beside(run, tmp_path, capsys):
    fcn_alone = ["basic/fcn", *SHAPES, *BRIEF, "--size=24x32"]
    assert main(["time", *fcn_alone, "--against", str(run[0])]) == 0
    text, told = capsys.readouterr()
    assert told.startswith("timing takes 0 s to 0 s, and warming up and the sweep\n")
    assert "Reading and decoding images was not timed" in text
    assert "loading\n" not in text
    _, beside = text.split("beside the former run: do the intervals overlap?")
    rows = re.findall(r"^basic/fcn +(forward|argmax) +(\d)", beside, re.MULTILINE)
    assert rows == [("forward", "1"), ("argmax", "1"), ("forward", "2"), ("argmax", "2")]


def test_a_method_against_itself_a_benchmarks_method_and_a_generator_of_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(BENCHMARK)
    given = ["own.yaml:fcn", "own.yaml:fcn", "own.yaml:images"]
    assert main(["time", *given, *SHAPES, *BRIEF, "--size=16x16", "--sweep=0", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [method["method"] for method in content["methods"]] == ["own.yaml:fcn", "own.yaml:fcn #2", "own.yaml:images"]
    assert content["methods"][0]["generator"]["options"]["width"] == 4
    assert content["methods"][0]["best_batch"] is None
    assert {row["stage"] for row in content["methods"][2]["inference"]} == {"forward"}
    assert "own.yaml:fcn: what its benchmark sets for precision does not count" in content["remarks"][1]


def test_a_method_that_cannot_be_built_is_named_and_the_others_are_timed(capsys):
    given = ["basic/fcn", "{use: smp/deeplabv3, encoder: vgg11}"]
    assert main(["time", *given, *SHAPES, *BRIEF, "--size=32x32", "--sweep=0", "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert [method["method"] for method in content["methods"]] == ["basic/fcn"]
    assert "dilated" in content["failures"]["smp/deeplabv3 encoder=vgg11"]


def test_unknown_names_are_errors_with_the_nearest(capsys):
    shapes = "--dataset=data/shapes"
    assert "Did you mean 'smp/unet'?" in failure(capsys, "smp/unte", shapes)
    assert "Did you mean 'data/shapes'?" in failure(capsys, "basic/fcn", "--dataset=data/shpes")
    assert "Did you mean 'encoder'?" in failure(capsys, "{use: smp/unet, encodr: x}", shapes)
    assert "Did you mean 'unet'?" in failure(capsys, "quickstart:unte", shapes)
    assert "no packaged benchmark 'quickstrt'" in failure(capsys, "quickstrt:unet", shapes)
    assert "unknown device 'gpu'" in failure(capsys, "basic/fcn", shapes, "--size=8x8", "--device=gpu")


def test_what_cannot_be_read_is_an_error(capsys):
    shapes = "--dataset=data/shapes"
    assert "METHOD {use: basic/fcn: not valid YAML" in failure(capsys, "{use: basic/fcn", shapes)
    assert "write BENCHMARK:METHOD, such as quickstart:unet" in failure(capsys, "quickstart:", shapes)
    assert "The methods of the benchmark 'quickstart' are quickstart:METHOD" in failure(capsys, "quickstart", shapes)
    assert "has no option 'clases'" in failure(capsys, "basic/fcn", shapes, "--option=clases=3")
    assert "cannot read none.json: No such file" in failure(capsys, "basic/fcn", shapes, "--against=none.json")


def test_missing_data_is_an_error_with_a_way_to_do_without(capsys):
    message = failure(capsys, "basic/fcn", "--dataset=data/camvid", "--size=32x32")
    assert "needs a folder, and none is named" in message
    assert "--dataset data/shapes --option classes=11 --size 360x480" in message


def test_a_refiner_needs_a_trained_base(capsys):
    message = failure(capsys, "refine/unet", "--dataset=data/shapes")
    assert "refine/unet refines the predictions of another method" in message


def test_a_former_run_under_other_conditions_is_refused_before_anything_is_timed(run, capsys):
    message = failure(capsys, "basic/fcn", *SHAPES, *BRIEF, "--precision=bf16", "--against", str(run[0]))
    assert "it was timed under other conditions: precision (fp32 then, bf16 now)" in message


def test_a_file_that_cannot_be_written_is_an_error_before_anything_is_timed(tmp_path, capsys):
    missing = failure(capsys, "basic/fcn", *SHAPES, *BRIEF, "-o", str(tmp_path / "no" / "where.json"))
    assert missing.endswith(f"there is no folder {tmp_path / 'no'}")
    folder = failure(capsys, "basic/fcn", *SHAPES, *BRIEF, "-o", str(tmp_path))
    assert folder.endswith("it cannot be written; name another file")


@pytest.mark.parametrize(
    ("timing", "reads", "seconds"),
    [
        (Timing(), True, (180, 720)),  # 3 stages at 2 batch sizes, of 30 to 120 s
        (Timing(), False, (120, 480)),
        (Timing(seconds=4, max_seconds=16), True, (12, 48)),  # reduced: a quarter for each stage but the first
    ],
)
def test_how_long_it_takes_follows_from_the_budget(timing, reads, seconds):
    protocol = TrainingProtocol(budget=Budget(steps=1), batch_size=8, timing=timing)
    assert seconds_a_method(protocol, reads=reads) == seconds


def test_sizes_are_height_and_width():
    assert parse_size("360x480") == parse_size("360×480") == (360, 480)


@pytest.mark.parametrize("text", ["256", "0x5", "8x", "8x8x8", "8 x 8", "-8x8", "axb"])
def test_a_malformed_size_is_refused(text):
    with pytest.raises(SpecError, match="write height and width in pixels, such as 360x480"):
        parse_size(text)


def test_threads_are_bounded_as_in_a_protocol(capsys):
    assert main(["time", "basic/fcn", "--dataset=data/shapes", f"--threads={MOST_THREADS + 1}"]) == 2
    message = capsys.readouterr().err
    assert "--threads" in message
    assert str(MOST_THREADS) in message.replace(str(MOST_THREADS + 1), "")


def test_a_runtime_stands_beside_torch_under_its_own_name(capsys):
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    arguments = ["time", NARROW, *SHAPES, *BRIEF, "--sweep=0", "--runtime=torch,onnxruntime", "--json"]
    assert main(arguments) == 0
    torch, other = json.loads(capsys.readouterr().out)["methods"]
    assert (torch["runtime"], other["runtime"]) == ("torch", "onnxruntime")
    assert other["method"] == "basic/fcn width=4 in onnxruntime"
    assert [row["stage"] for row in other["inference"]] == ["forward", "forward"]
    assert other["inference"][0]["ratio"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runtime=tensorrt"], "there is no 'tensorrt'; write one or more of torch, onnxruntime, openvino"),
        (["--runtime=torch,onnxruntime", "--precision=bf16"], "--runtime onnxruntime runs fp32 alone"),
    ],
)
def test_what_no_runtime_does_is_refused(options, message, capsys):
    assert main(["time", NARROW, *SHAPES, *BRIEF, *options]) == 2
    assert message in capsys.readouterr().err
