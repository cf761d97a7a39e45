from __future__ import annotations

import json

import pytest

from segbench.cli import main

HEAD = """
import os, signal, time
from segbench import Component, hookimpl

def build(in_channels, num_classes, *, width: int = 16):
    '''Build a net of some `width`.'''
    from torch import nn

    return nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, num_classes, 1))

def build_for_eyes(in_channels, num_classes):
    if in_channels == 4:
        {fault}
    return build(in_channels, num_classes)

@hookimpl
def segbench_generators():
    yield Component("fine", build, "Two convolutions")
"""

YIELD_FAULTY = '    yield Component("faulty", build_for_eyes, "Two convolutions of 4 channels at the most")\n'

CAUGHT = "any_number_of_channels_will_do"

# It cannot be built, whatever is asked for.
HOPELESS = """
from segbench import Component, hookimpl
def build(in_channels, num_classes):
    return Networks(in_channels, num_classes)
@hookimpl
def segbench_generators():
    yield Component("net", build, "Misspelt")
""".lstrip()


def install(install_plugin, fault="pass", more=""):
    install_plugin("My_Dist", {"mine": "my_plugin"}, {"my_plugin.py": HEAD.format(fault=fault) + more})


def check(capsys, *arguments):
    code = main(["check", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def outcomes(out: str) -> dict[str, dict[str, str]]:
    found = json.loads(out)["components"]
    return {one["name"]: {result["check"]: result["outcome"] for result in one["results"]} for one in found}


def test_a_plugin_that_is_in_order_is_reported_in_a_table(install_plugin, capsys):
    install(install_plugin)
    code, out, err = check(capsys, "my-dist")
    assert code == 0
    heading, row = out.splitlines()[:2]
    assert heading.split() == ["KIND", "NAME", "PASSED", "FAILED", "KNOWN", "REPORTED", "SKIPPED"]
    assert row.split()[:2] == ["generator", "mine/fine"]
    assert row.split()[3:6] == ["-", "-", "-"]
    assert out.splitlines()[-1] == "1 component checked, nothing is wrong"
    assert err.startswith("generator mine/fine: ")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise ValueError('red, green and blue')", "red, green and blue"),
        ("os._exit(3)", "exited with code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    ],
)
def test_a_component_that_fails_or_crashes_fails_the_check_it_was_at_and_nothing_else(
    fault, message, install_plugin, capsys
):
    install(install_plugin, fault, YIELD_FAULTY)
    code, out, _ = check(capsys, "mine", "--json")
    found = outcomes(out)
    assert code == 1
    assert [name for name, outcome in found["mine/faulty"].items() if outcome == "failed"] == [CAUGHT]
    assert found["mine/faulty"].keys() == found["mine/fine"].keys()
    assert "failed" not in found["mine/fine"].values()
    [faulty] = [one for one in json.loads(out)["components"] if one["name"] == "mine/faulty"]
    [result] = [result for result in faulty["results"] if result["outcome"] == "failed"]
    assert message in result["message"]
    assert result["cure"].startswith("Take the number of input channels from `in_channels`")


@pytest.mark.slow  # a process must have had the time to get that far
def test_a_component_that_hangs_fails_the_check_it_was_at(install_plugin, capsys):
    install(install_plugin, "time.sleep(3600)", YIELD_FAULTY)
    code, out, _ = check(capsys, "generator", "mine/faulty", "--timeout", "30")
    assert code == 1
    assert f"failed: {CAUGHT}\n    timed out after 30 s\n    cure: Take the number" in out
    assert out.splitlines()[-1] == "not fit for use: generator mine/faulty"


def test_a_broken_plugin_is_named_with_what_is_wrong(install_plugin, capsys):
    install_plugin("bad-dist", {"bad": "bad"}, {"bad.py": "raise RuntimeError('no luck')"})
    for name in ("bad", "bad-dist", "Bad_Dist"):
        code, out, _ = check(capsys, name)
        assert code == 1
        assert "broken plugin 'bad' (bad-dist 1.0) offers nothing: bad cannot be imported: RuntimeError" in out
    code, out, _ = check(capsys, "bad", "--json")
    assert (code, json.loads(out)["ok"], json.loads(out)["broken"][0]["plugin"]) == (1, False, "bad")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["basik"], "unknown plugin 'basik'. Did you mean 'basic'? Available: basic, "),
        (["basik"], "Did you mean 'basic'?"),
        (["basic/fcn"], "write its kind and its name: segbench check generator smp/unet"),
        (["generator", "basic/fcm"], "unknown generator 'basic/fcm'"),
        (["model", "basic/fcn"], "unknown kind 'model'"),
        (["generator", "basic/fcn", "more"], "give PLUGIN, or KIND NAME"),
        (["basic", "--option", "width=3"], "give KIND NAME"),
        (["generator", "basic/fcn", "--root", "."], "--root is for a dataset"),
        (["dataset", "data/folder", "--root", "no/such"], "--root no/such: there is no such folder"),
    ],
)
def test_a_mistake_on_the_command_line_is_reported_with_what_is_available(arguments, message, capsys):
    code, out, err = check(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.replace("│", " ").split())


def test_a_dataset_is_looked_for_where_the_root_says_or_skipped_with_the_reason(install_plugin, tmp_path, capsys):
    source = """
from segbench import Component, Dataset, Sample, hookimpl

def build(root):
    import numpy as np

    rows = (root / "labels.txt").read_text().split()
    labels = np.array([[int(digit) for digit in row] for row in rows], dtype=np.uint8)
    image = np.stack([labels * 80] * 3, axis=-1)
    return Dataset(("ground", "sky"), ((0, 0, 0), (9, 9, 9)), {"train": [Sample(image, labels, "one")]},
                   licence="CC0-1.0", citation="nobody, 2024")

@hookimpl
def segbench_datasets():
    yield Component("field", build, "Ground and sky")
"""
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": source})
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "somewhere" / "labels.txt").write_text("1111\n1111\n0000\n0000\n")
    code, out, _ = check(capsys, "dataset", "field", "--root", str(tmp_path / "somewhere"), "--json")
    assert code == 0, out
    assert "skipped" not in outcomes(out)["mine/field"].values()
    code, out, _ = check(capsys, "dataset", "field", "--json")
    assert code == 0, out
    assert "skipped" in outcomes(out)["mine/field"].values()


def test_options_take_the_place_of_the_examples(install_plugin, capsys):
    install(install_plugin)
    code, out, _ = check(capsys, "generator", "mine/fine", "--option", "width=wide", "--json")
    assert code == 1
    assert outcomes(out)["mine/fine"]["options_have_valid_values"] == "failed"


def test_checks_that_fail_for_one_reason_are_reported_together(install_plugin, capsys):
    install_plugin("my-dist", {"mine": "mine"}, {"mine.py": HOPELESS})
    code, out, _ = check(capsys, "mine")
    assert code == 1
    assert out.count("NameError") == 1
    assert "  failed: settings_of_the_process_are_left_alone and 21 more\n    NameError: " in out
    assert "(mine.py, line 3, in build)\n    cure: All of them fail for this one reason" in out
