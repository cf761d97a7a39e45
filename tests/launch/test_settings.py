from __future__ import annotations

import pytest

from segbench.errors import SpecError
from segbench.launch import settings, slurm
from segbench.launch.settings import check_options, read_slurm
from segbench.launch.slurm import Slurm


@pytest.fixture
def config(tmp_path, monkeypatch):
    path = tmp_path / "config.toml"
    monkeypatch.setattr(settings, "config_file", lambda: path)
    return path


@pytest.mark.parametrize(
    ("way", "given", "message"),
    [
        ("local", {"partition": "gpu"}, "--partition is for --on slurm, not for --on local"),
        ("local", {"resubmit": 0}, "--resubmit is for --on slurm, not for --on local"),
        ("command", {"wait": True, "command": "{worker}"}, "--wait is for --on slurm, not for --on command"),
        ("slurm", {"track": "mlflow"}, "--track is for --on local and --on ray, not for --on slurm"),
        ("local", {"workers": 3}, "--workers is for --on command and --on slurm, not for --on local"),
        ("local", {"address": "auto"}, "--address is for --on ray, not for --on local"),
        ("ray", {"mem": "8G"}, "--mem is for --on slurm, not for --on ray"),
        ("command", {"command": None}, "--on command needs --command TEMPLATE"),
    ],
)
def test_an_option_of_another_way_is_refused(way, given, message):
    with pytest.raises(SpecError, match=f"^{message}"):
        check_options(way, given)


def test_options_of_the_way_and_those_not_given_are_accepted():
    check_options("local", {"track": "mlflow", "partition": None})
    check_options("command", {"command": "sh -c {worker}", "workers": 2, "wait": None})


def test_without_slurm_the_missing_program_is_named(monkeypatch):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    with pytest.raises(SpecError, match="there is no program sbatch on this machine"):
        check_options("slurm", {})


def test_options_come_before_the_file_of_the_user_and_directives_of_both_are_used(config):
    assert read_slurm({"partition": None}) == Slurm()
    config.write_text('[slurm]\npartition = "gpu"\nworkers = 8\nlines = ["--account=vision"]\n')
    given = {"workers": 2, "time": "4:00:00", "mem": None, "sbatch-line": ["--nice=10"]}
    lines = ("--account=vision", "--nice=10")
    assert read_slurm(given) == Slurm(partition="gpu", workers=2, time="4:00:00", lines=lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[slurm", "cannot be read as TOML"),
        ("slurm = 3", r"slurm must be a table, written \[slurm\]"),
        ('[slurm]\nqueue = "gpu"', r"\[slurm\]: queue: "),
        ("[slurm]\nworkers = 0", r"\[slurm\]: workers: "),
        ('[slurm]\npartition = "a b"', r"\[slurm\]: partition: "),
        ('[slurm]\nlines = ["account=x"]', r"\[slurm\]: lines.0: "),
    ],
)
def test_a_file_that_is_wrong_is_named(config, text, message):
    config.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        read_slurm({})
    assert str(config) in str(caught.value)


def test_a_wrong_option_is_told_too(config):
    with pytest.raises(SpecError, match="--on slurm: time: "):
        read_slurm({"time": "4 hours"})
