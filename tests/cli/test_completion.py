from __future__ import annotations

import os
import subprocess
import sys

import pytest

from segbench.cli import main
from segbench.cli.completion import component_names

SOURCE = """
from segbench import Component, hookimpl

def build(num_classes): ...

@hookimpl
def segbench_losses():
    yield Component("{name}", build, "Looks at edges")
"""
RECORD = '{{\n "schema": 1,\n "key": "{key}",\n "benchmark": "b",\n "method": "{method}",\n "seed": 0\n}}\n'
LOADED = "import sys; from segbench.cli import main; main(); print(*sys.modules, file=sys.stderr)"
HEAVY = {"torch", "numpy", "pandas", "pyarrow", "scipy", "pydantic", "rich", "importlib.metadata"}


@pytest.fixture
def complete(tmp_path, monkeypatch, capsys):
    """Returns what bash is offered for the last word of a line, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def ask(line):
        monkeypatch.setenv("_SEGBENCH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        main([])
        return capsys.readouterr().out.split()

    return ask


def test_benchmarks_that_ship_and_files_of_the_folder_are_offered(complete, tmp_path):
    (tmp_path / "quick.yaml").touch()
    assert complete("segbench run qui") == ["quick.yaml", "quickstart"]
    assert "camvid" in complete("segbench plan ")


def test_components_of_the_kind_are_offered(complete):
    assert complete("segbench show loss losses/d") == ["losses/dice"]
    assert complete("segbench show gen") == ["generator"]
    assert complete("segbench prepare data/cam") == ["data/camvid"]
    assert complete("segbench time --dataset data/nu") == ["data/nuclei"]
    assert complete("segbench time smp/unet tv/lr") == ["tv/lraspp"]


def test_methods_of_the_file_before_are_offered(complete, tmp_path):
    (tmp_path / "own.yaml").write_text("methods: {unet: {}, fpn: {}}")
    assert complete("segbench run own.yaml --only u") == ["unet"]
    assert complete("segbench probe quickstart unet") == ["unet", "unet+critic"]
    assert complete("segbench run missing.yaml --only u") == []
    (tmp_path / "own.yaml").write_text("methods: [")
    assert complete("segbench run own.yaml --only u") == []


def test_methods_and_benchmarks_of_records_are_offered(complete, tmp_path):
    for folder, key, method in [("results/b", "1", "unet"), ("results/b", "2", "u\\u00fc"), ("more/c", "3", "fpn")]:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / f"{key}.json").write_text(RECORD.format(key=key, method=method))
    (tmp_path / "results/b/torn.json").write_text('{\n "schema"')
    assert complete("segbench compare u") == ["unet", "uü"]
    assert complete("segbench verify more --method f") == ["fpn"]
    assert complete("segbench report --benchmark ") == ["b"]


def test_options_and_commands_are_offered(complete):
    assert complete("segbench run --timeo") == ["--timeout"]
    assert complete("segbench comp") == ["compact", "compare"]


def test_names_are_kept_until_a_plugin_changes(install_plugin, monkeypatch):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": SOURCE.format(name="first")})
    assert ("mine/first", "Looks at edges") in component_names()["loss"]
    with monkeypatch.context() as patch:
        patch.setattr("segbench.cli.completion._load_names", None)
        assert ("mine/first", "Looks at edges") in component_names()["loss"]

    path = install_plugin.folder / "my_plugin.py"
    path.write_text(SOURCE.format(name="second"))
    os.utime(path, ns=(1, 1))
    del sys.modules["my_plugin"]
    assert [name for name, _ in component_names()["loss"] if name.startswith("mine/")] == ["mine/second"]
    monkeypatch.setenv("SEGBENCH_DISABLED_PLUGINS", "mine")
    assert [name for name, _ in component_names()["loss"] if name.startswith("mine/")] == []


def test_a_cache_that_cannot_be_written_or_read_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "file"))
    assert component_names()["dataset"]
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path))
    (tmp_path / "component-names.json").write_text('{"stamps": []}')
    assert component_names()["dataset"]


@pytest.mark.parametrize("line", ["segbench run q", "segbench show generator s", "segbench run quickstart --only u"])
def test_completion_loads_no_heavy_library(line, tmp_path):
    component_names()
    words = {"_SEGBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    run = [sys.executable, "-c", LOADED]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ, **words})
    assert done.stdout.strip()
    assert set(done.stderr.split()) & HEAVY == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_written_for_each_shell(shell):
    run = [sys.executable, "-c", LOADED]
    environment = {**os.environ, "_SEGBENCH_COMPLETE": f"source_{shell}"}
    done = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)
    assert "segbench" in done.stdout
