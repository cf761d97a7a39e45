from __future__ import annotations

import json

import pytest

from segbench.cli import doctor as command
from segbench.cli import main
from segbench.cli.doctor import diagnose, examine_plugins, examine_versions, import_errors
from segbench.registry import plugins


def doctor(capsys, *arguments):
    code = main(["doctor", *arguments])
    return code, capsys.readouterr().out


def test_a_sound_installation_shows_devices_versions_folders_and_plugins(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path))
    code, out = doctor(capsys, "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["problems"], found["notes"]) == (0, True, [], [])
    assert found["devices"][0]["device"] == "cpu"
    assert found["devices"][0]["bf16"] in ("native", "emulated", "unknown")
    assert {"python", "segbench", "torch", "pydantic", "ruamel.yaml"} <= {fact["name"] for fact in found["versions"]}
    assert "pytest" not in {fact["name"] for fact in found["versions"]}
    assert [folder["name"] for folder in found["folders"]] == ["cache", "data"]
    assert all(folder["free_bytes"] > 0 for folder in found["folders"])
    [basic] = [plugin for plugin in found["plugins"] if plugin["name"] == "basic"]
    assert basic["offers"]["generator"] == 1
    assert basic["file"] is None
    assert basic["seconds"] >= 0
    code, out = doctor(capsys)
    assert code == 0
    assert out.splitlines()[0] == "devices"
    assert out.splitlines()[-1] == "nothing is broken"


def test_a_broken_plugin_is_named_and_the_exit_code_tells(install_plugin, capsys):
    install_plugin("bad-dist", {"bad": "bad"}, {"bad.py": "raise RuntimeError('no luck')"})
    code, out = doctor(capsys)
    assert code == 1
    assert "plugin 'bad' (bad-dist 1.0): bad cannot be imported: RuntimeError: no luck." in out
    assert "basic" in out
    code, out = doctor(capsys, "--json")
    assert (code, json.loads(out)["ok"]) == (1, False)


def test_a_library_that_a_component_lacks_stands_beside_its_plugin(install_plugin, capsys):
    source = """
from segbench import Component, hookimpl

def build(num_classes): ...

@hookimpl
def segbench_losses():
    yield Component("focus", build, "Looks at edges", requires=("no-such-library",))
"""
    install_plugin("my-dist", {"mine": "mine"}, {"mine.py": source})
    code, out = doctor(capsys)
    assert code == 0
    [line] = [line for line in out.splitlines() if line.strip().startswith("mine ")]
    assert line.split() == ["mine", "my-dist", "1.0", "1", "losses", "not", "installed:", "no-such-library"]


def test_what_is_good_to_know_of_plugins_stands_under_notes_and_is_nothing_broken(install_plugin, monkeypatch):
    source = "import os\nos.chdir('/')\nfrom segbench import Component, hookimpl\n"
    source += "@hookimpl\ndef segbench_losses():\n    yield Component('a', lambda num_classes: None, 'A')\n"
    install_plugin("my-dist", {"mine": "mine"}, {"mine.py": source})
    install_plugin("off-dist", {"off": "off"}, {"off.py": source})
    monkeypatch.setenv("SEGBENCH_DISABLED_PLUGINS", "off,min")
    monkeypatch.setattr(plugins, "SLOW_SECONDS", 0.0)
    part = examine_plugins()
    assert part.problems == []
    assert part.notes[:2] == [
        "plugin 'mine' (my-dist 1.0) changed the working folder while it was loaded; this was put back",
        "plugin 'off' (off-dist 1.0) is disabled by SEGBENCH_DISABLED_PLUGINS",
    ]
    assert any(
        note.startswith("plugin 'mine' took 0.") and note.endswith("s to load, in every command") for note in part.notes
    )
    assert part.notes[-1] == (
        "SEGBENCH_DISABLED_PLUGINS names the plugin 'min', which does not exist. Did you mean 'mine'?"
    )


def test_notes_are_printed_before_the_verdict(monkeypatch, capsys):
    monkeypatch.setattr(command, "examine_plugins", lambda: command.Part(notes=["plugin 'mine' is late"]))
    code, out = doctor(capsys)
    assert code == 0
    assert out.endswith("\nplugins\nnotes\n  plugin 'mine' is late\nnothing is broken\n")


def test_folders_that_cannot_be_used_are_problems(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path / "gone"))
    code, out = doctor(capsys)
    assert code == 1
    assert "cache cannot be written; set SEGBENCH_CACHE to another" in out
    assert f"$SEGBENCH_DATA is {str(tmp_path / 'gone')!r}, and there is no such folder" in out


def test_a_part_that_fails_hides_no_other(monkeypatch):
    def broken():
        raise ImportError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(command, "examine_devices", broken)
    found = diagnose()
    assert found["problems"] == [
        "devices could not be examined: ImportError: libcudart.so.13: cannot open shared object file"
    ]
    assert found["plugins"]


def test_a_library_that_cannot_be_imported_is_a_problem(install_plugin, monkeypatch):
    install_plugin("fake-vision", {}, {"fake_vision.py": "raise RuntimeError('operator nms does not exist')"})
    monkeypatch.setattr(command, "LIBRARIES", ("torch", "fake_vision"))
    assert examine_versions().problems == ["fake_vision cannot be imported: RuntimeError: operator nms does not exist"]


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        ("no-such-library>=1.2", "no-such-library is not installed: pip install 'no-such-library>=1.2'"),
        ("pluggy>=99.1,<100", "pluggy 1.7.0 is too old: pip install 'pluggy>=99.1,<100'"),
        ("pluggy[extra] >=1.0 ; python_version > '3'", None),
        ("pluggy", None),
        ("no-such-library>=1.2; extra == 'test'", None),
    ],
)
def test_what_is_missing_or_too_old_comes_with_the_cure(install_plugin, monkeypatch, requirement, problem):
    import importlib.metadata

    version = importlib.metadata.version("pluggy")
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: [requirement])
    expected = [] if problem is None else [problem.replace("1.7.0", version)]
    assert examine_versions().problems == expected


def test_what_is_installed_here_can_be_imported():
    assert import_errors() == []


def test_a_library_that_cannot_be_imported_is_named_with_the_first_line_of_its_error(install_plugin, monkeypatch):
    install_plugin("fake-vision", {}, {"fake_vision.py": "raise RuntimeError('operator nms does not exist\\nmore')"})
    monkeypatch.setattr(command, "LIBRARIES", ("fake_vision", "no_such_library"))
    assert import_errors() == [
        "fake_vision cannot be imported: RuntimeError: operator nms does not exist",
        "no_such_library cannot be imported: ModuleNotFoundError: No module named 'no_such_library'",
    ]
