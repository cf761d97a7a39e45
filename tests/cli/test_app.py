from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version

import pytest

from segbench.cli import main
from segbench.cli.app import global_options_first

DATASET = """
from segbench import Component, hookimpl

def build(): {body}

@hookimpl
def segbench_datasets():
    yield Component("data", build, "For tests")
"""


def test_the_commands_are_named_in_the_help(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in ("run", "plan", "report", "list", "show", "prepare", "predict", "probe", "score", "doctor"):
        assert f"\n  {command} " in out


def test_the_version_is_that_of_the_distribution(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"segbench {version('segbench')}\n"


def test_a_mistake_on_the_command_line_ends_with_2(capsys):
    assert main(["lsit"]) == 2
    assert "lsit" in capsys.readouterr().err
    assert main(["list", "--jsn"]) == 2
    assert "--jsn" in capsys.readouterr().err


def test_a_users_mistake_is_one_line_without_traceback(capsys):
    assert main(["show", "loss", "no/such"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: unknown loss 'no/such'")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [["--debug", "show", "loss", "x"], ["show", "--debug", "loss", "x"], ["show", "loss", "x", "--debug"]]
)
def test_debug_shows_the_traceback_wherever_it_stands(capsys, arguments):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "error: unknown loss 'x'" in err


def test_debug_after_two_dashes_is_no_option():
    assert global_options_first(["list", "--", "--debug"]) == (["list", "--", "--debug"], False)
    assert global_options_first(["list", "--debug", "--", "x"]) == (["--debug", "list", "--", "x"], True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["run", "b.yaml", "--plugin", "x.py"], ["--plugin", "x.py", "run", "b.yaml"]),
        (["run", "--plugin=x.py", "b.yaml"], ["--plugin=x.py", "run", "b.yaml"]),
        (
            ["list", "--disable", "a", "--plugin", "x.py", "--disable=b"],
            ["--disable", "a", "--plugin", "x.py", "--disable=b", "list"],
        ),
        (["score", "--", "--disable", "a"], ["score", "--", "--disable", "a"]),
        (["list", "--disable"], ["--disable"]),
        (["list", "--disable", "--", "x"], ["--disable"]),
    ],
)
def test_options_of_the_program_may_stand_anywhere(given, expected):
    assert global_options_first(given) == (expected, False)


def test_a_missing_value_is_named(capsys):
    assert main(["list", "--plugin"]) == 2
    assert "'--plugin' requires an argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["report", "--format", "htm"], "'--format': 'htm' is not one of 'table', 'markdown', 'csv'"),
        (["compare", "a", "b", "--format", "html"], "'--format': 'html' is not one of 'table', "),
        (["time", "b.yaml", "--precision", "fp8"], "'--precision': 'fp8' is not one of 'fp32', 'bf16', 'fp16'."),
        (
            ["run", "b.yaml", "--jobs", "x"],
            "'--jobs' / '--jobs-per-device': must be a number from 1 on, or auto, not",
        ),
        (["run", "b.yaml", "--timeout", "0"], "'--timeout': must be greater than or equal to 1, not '0'"),
    ],
)
def test_a_value_that_an_option_does_not_take_is_told_with_what_it_takes(given, expected, capsys):
    assert main(given) == 2
    assert f"Error: Invalid value for {expected}" in capsys.readouterr().err


def test_a_bug_in_a_plugin_names_the_plugin(install_plugin, capsys):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": DATASET.format(body="return {}['key']")})
    assert main(["show", "dataset", "mine/data"]) == 2
    err = capsys.readouterr().err
    assert err == "error: plugin 'mine' (my-dist 1.0) failed with KeyError: 'key' (--debug shows where)\n"


def test_a_bug_in_segbench_says_so(monkeypatch, capsys):
    def fail():
        raise KeyError("key")

    monkeypatch.setattr("segbench.registry.load_registry", fail)
    assert main(["list"]) == 70
    err = capsys.readouterr().err
    assert err.startswith("error: a bug in segbench: KeyError: 'key'")
    assert "--debug" in err
    assert len(err.splitlines()) == 1


def failure(capsys, *arguments, code=2):
    """The error that a command prints as JSON; on stderr it says the same to people."""
    assert main([*arguments]) == code
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert content["schema"] == 1
    assert content["error"]["message"].splitlines()[0] in printed.err
    return content["error"]


def test_under_json_an_error_is_json_with_its_place_and_what_is_allowed(tmp_path, capsys):
    path = tmp_path / "bench.yaml"
    path.write_text(
        "name: x\ndatasets: {n: data/nuclei}\nprotocol:\n  budget: {steps: 1}\n  schedule: {use: ploy}\n"
        "seeds: [0]\nmethods: {m: {generator: basic/fcn, losses: [losses/dice]}}\n"
    )
    error = failure(capsys, "plan", str(path), "--json")
    assert (error["code"], error["file"], error["line"]) == ("benchmark", str(path), 5)
    assert error["allowed"] == ["poly", "cosine", "constant", "one_cycle"]

    path.write_text(path.read_text().replace("ploy", "poly").replace("losses/dice", "losses/dise"))
    error = failure(capsys, "plan", str(path), "--json")
    assert (error["line"], "losses/dice" in error["allowed"]) == (7, True)


def test_under_json_other_errors_are_json_too(tmp_path, capsys, monkeypatch):
    assert failure(capsys, "show", "loss", "no/such", "--json")["code"] == "component"
    assert failure(capsys, "report", str(tmp_path / "none"), "--format", "json")["code"] == "record"
    assert failure(capsys, "list", "--json", "--jbos", "2")["code"] == "usage"
    assert failure(capsys, "compare", "a", "--json")["allowed"] == []
    monkeypatch.setattr("segbench.registry.load_registry", lambda: {}["key"])
    assert failure(capsys, "list", "--json", code=70)["code"] == "bug"


def test_a_file_that_cannot_be_had_is_no_bug(install_plugin, capsys):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": DATASET.format(body="open('/no/such/file')")})
    assert main(["show", "dataset", "mine/data"]) == 2
    assert "No such file or directory: '/no/such/file', in plugin 'mine'" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(install_plugin, capsys):
    body = f"import os; os.kill(os.getpid(), {int(signal.SIGINT)})"
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": DATASET.format(body=body)})
    assert main(["show", "dataset", "mine/data"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from segbench.cli import main; sys.exit(main(['list']))"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr.lower()


WITHOUT_HOME = """
import os, pwd, sys

def unknown(user):
    raise KeyError(user)

pwd.getpwuid = pwd.getpwnam = unknown
for name in ("HOME", "SEGBENCH_CACHE", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
from segbench.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "data/shapes"], "set SEGBENCH_CACHE to the absolute path of a folder"),
        (["run", "~/x.yaml"], "a path begins with ~, and there is no such home folder; write the whole path"),
    ],
)
def test_a_user_without_a_home_folder_is_told_what_to_set(tmp_path, arguments, message):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HOME, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert message in line
    assert "bug" not in line


@pytest.mark.parametrize("command", [["list"], ["prepare", "data/shapes"], ["predict", "abc", "x", "-o", "y"]])
def test_a_working_folder_that_was_removed_is_named(tmp_path, command):
    gone = tmp_path / "gone"
    program = "import os, sys; os.rmdir(os.getcwd()); from segbench.cli import main; sys.exit(main(sys.argv[1:]))"
    gone.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *command], cwd=gone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the working folder ")
    assert done.stderr.endswith("has been removed; change to another one and try again\n")
    assert done.stderr.count("\n") == 1
