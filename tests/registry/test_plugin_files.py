"""Single files as plugins."""

from __future__ import annotations

import hashlib
import json
import os
import pickle

import pytest

from segbench.errors import ComponentError, PluginError
from segbench.registry import load_registry
from segbench.registry.options import build, check_requirements
from segbench.registry.plugin_files import (
    FILES_VARIABLE,
    HASHES_VARIABLE,
    add_files,
    content_of,
    expected_hashes,
    given_files,
    load_file,
)

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass
from segbench import Component, hookimpl

@dataclass
class Loss:
    num_classes: int
    gamma: float

def build(num_classes, *, gamma: float = 2.0):
    return Loss(num_classes, gamma)

def lazy(num_classes):
    import helper

@hookimpl
def segbench_losses():
    yield Component("focus", build, "Looks at edges")
    yield Component("lazy", lazy, "Imports late", requires=("pydantic",), extra="more")
"""


@pytest.fixture(autouse=True)
def own_variables(monkeypatch):
    monkeypatch.delenv(HASHES_VARIABLE, raising=False)
    monkeypatch.setenv(FILES_VARIABLE, "")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "edges.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def given(file):
    add_files([file], ())
    return file


def problem():
    return next(one for one in load_registry().problems if one.plugin == "edges")


def test_a_file_is_a_plugin_of_its_name(given):
    offer = load_registry().find("loss", "edges/focus")
    digest = hashlib.sha256(given.read_bytes()).hexdigest()
    assert (offer.plugin, offer.distribution, offer.version, offer.file) == ("edges", "edges.py", digest[:12], given)
    assert build(offer, {"num_classes": 3}, {"gamma": 1}).gamma == 1.0


def test_what_it_builds_can_be_pickled(given):
    loss = build(load_registry().find("loss", "edges/focus"), {"num_classes": 3}, {})
    assert pickle.loads(pickle.dumps(loss)) == loss


def test_no_other_module_is_hidden_by_it(tmp_path):
    (tmp_path / "json.py").write_text(SOURCE)
    add_files([tmp_path / "json.py"], ())
    assert load_registry().find("loss", "json/focus")
    assert json.loads("[1]") == [1]


def test_a_file_is_read_once_in_a_process(given):
    before = load_registry().find("loss", "edges/focus")
    given.write_text("raise RuntimeError")
    after = load_registry().find("loss", "edges/focus")
    assert after.component.build is before.component.build
    assert content_of(given).decode() == SOURCE


def test_a_relative_path_becomes_absolute(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    add_files([type(file)("edges.py")], ())
    assert given_files() == [file]


def test_a_file_given_twice_counts_once(given):
    add_files([given, given], ())
    assert given_files() == [given]


def make(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.py", r"--plugin .*gone\.py: there is no such file"),
        ("folder.py/", r"this is a folder; give one \.py file, or install the package: pip install -e FOLDER"),
        ("net.txt", r"this is no Python file; its name must end in \.py"),
        ("my-net.py", r"'my-net' is no name in Python; rename it"),
        ("a:b/net.py", r"the path holds ':', which separates paths"),
        ("smp.py", r"'smp' is that of an installed one; rename the file"),
    ],
)
def test_what_cannot_be_a_plugin_is_refused(tmp_path, name, message):
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    elif name != "gone.py":
        make(tmp_path, name)
    with pytest.raises(PluginError, match=message):
        add_files([tmp_path / name], ["smp"])


def test_two_files_of_one_name_are_refused(given, tmp_path):
    other = make(tmp_path, "beside/edges.py")
    with pytest.raises(PluginError, match=rf"{given} would be a plugin of the same name; rename one of them"):
        add_files([other], ())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_refused(file):
    file.chmod(0)
    with pytest.raises(PluginError, match="it cannot be read: Permission denied"):
        add_files([file], ())


def test_a_wrong_path_in_the_variable_is_a_problem_and_no_end(monkeypatch, tmp_path):
    monkeypatch.setenv(FILES_VARIABLE, f"{tmp_path / 'edges.py'}{os.pathsep}relative.py")
    assert problem().message == f"--plugin {tmp_path / 'edges.py'}: there is no such file."
    messages = {one.plugin: one.message for one in load_registry().problems}
    assert "the path must be absolute" in messages["relative"]


def test_a_file_with_the_name_of_an_installed_plugin_takes_both_away(install_plugin, given):
    install_plugin("my-dist", {"edges": "my_plugin"}, {"my_plugin.py": SOURCE})
    message = problem().message
    assert "claimed more than once" in message
    assert "my-dist 1.0" in message
    assert "edges.py" in message


def test_a_file_that_fails_is_reported_with_its_traceback(file):
    file.write_text("x = 1\nraise RuntimeError('no luck')\n")
    add_files([file], ())
    found = problem()
    assert found.message == "edges.py cannot be imported: RuntimeError: no luck."
    assert f'File "{file}", line 2' in found.traceback


def test_a_file_of_no_python_is_reported(file):
    file.write_bytes(b"\x00\x01")
    add_files([file], ())
    assert "edges.py cannot be imported: " in problem().message


@pytest.mark.parametrize("statement", ["from . import helper", "import helper", "from helper.deep import x"])
def test_what_lies_beside_a_file_cannot_be_imported_and_it_says_why(file, statement):
    file.write_text(statement)
    file.with_name("helper.py").touch()
    add_files([file], ())
    assert "single file and cannot import those beside it" in problem().message
    assert "`segbench new`" in problem().message


def test_a_library_that_is_missing_is_not_explained_so(file):
    file.write_text("import no_such_library")
    add_files([file], ())
    assert "single file" not in problem().message


def test_the_same_is_said_where_it_imports_late(given):
    given.with_name("helper.py").touch()
    offer = load_registry().find("loss", "edges/lazy")
    with pytest.raises(
        PluginError, match=r"loss edges/lazy: No module named 'helper'\. A plugin that is given as a file"
    ):
        build(offer, {"num_classes": 3}, {})


def test_a_file_has_no_extras_to_install(given, monkeypatch):
    from segbench.registry import options as requirements

    monkeypatch.setattr(requirements, "_find_version", lambda name: None)
    with pytest.raises(ComponentError, match=r"pip install pydantic$"):
        check_requirements(load_registry().find("loss", "edges/lazy"))


def test_a_worker_refuses_a_file_that_has_changed_since(given, monkeypatch):
    known = expected_hashes()
    content_of.cache_clear()  # as in a process of its own
    load_file.cache_clear()
    given.write_text(f"{SOURCE}\n# edited\n")
    monkeypatch.setenv(HASHES_VARIABLE, known[HASHES_VARIABLE])
    message = problem().message
    assert "edges.py has changed since this run began" in message
    assert hashlib.sha256(SOURCE.encode()).hexdigest()[:12] in message
    assert message.endswith("start the run again.")


def test_without_files_workers_expect_nothing():
    assert expected_hashes() == {}
