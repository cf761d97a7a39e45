"""What a plugin changes for the whole process while it is loaded or builds: put back, and named."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import warnings

import pytest

from segbench.registry import load_registry, process_state
from segbench.registry.options import build

from .conftest import GOOD

# What a plugin does, how the change is named, and how the state is read.
CHANGES = [
    ("import os; os.chdir('/')", "the working folder", os.getcwd),
    (
        "import os; os.environ['SEGBENCH_NEW'] = '1'; os.environ['PATH'] = '/nowhere'",
        "environment variables: PATH, SEGBENCH_NEW",
        lambda: dict(os.environ),
    ),
    ("import warnings; warnings.simplefilter('ignore')", "the filters of warnings", lambda: [*warnings.filters]),
    ("import warnings; warnings.resetwarnings()", "the filters of warnings", lambda: [*warnings.filters]),
    ("import warnings; warnings.showwarning = print", "warnings.showwarning", lambda: warnings.showwarning),
    ("import sys; sys.stderr = None", "sys.stderr", lambda: sys.stderr),
    ("import io, sys; sys.stdout = io.StringIO()", "sys.stdout", lambda: sys.stdout),
    ("import sys; sys.path.insert(0, '/nowhere')", "the import path", lambda: sys.path[0]),
    ("import random; random.seed(0)", "Python's random numbers", random.getstate),
    ("import logging; logging.root.setLevel(1)", "the level of the root logger", lambda: logging.root.level),
    (
        "import logging; logging.root.addHandler(logging.NullHandler())",
        "the handlers of the root logger",
        lambda: [*logging.root.handlers],
    ),
    ("import logging; logging.disable()", "logging.disable", lambda: logging.root.manager.disable),
]


@pytest.fixture
def notices_on(install_plugin):
    """Load a plugin that begins with the given code; return what was noticed of it."""

    def notices_on(code):
        install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": f"{code}\n{GOOD}"})
        registry = load_registry()
        assert registry.find("loss", "mine/good").plugin == "mine"
        return [str(notice) for notice in registry.notices]

    return notices_on


@pytest.mark.parametrize(("code", "name", "read"), CHANGES, ids=[name for _, name, _ in CHANGES])
def test_a_change_on_import_is_put_back_and_named(notices_on, code, name, read):
    before = read()
    notices = notices_on(code)
    assert read() == before
    assert notices == [f"plugin 'mine' (my-dist 1.0) changed {name} while it was loaded; this was put back"]


def test_several_changes_are_all_named(notices_on):
    [notice] = notices_on("import os, sys\nos.chdir('/')\nsys.stderr = None")
    assert "changed the working folder, sys.stderr while" in notice


def test_a_plugin_that_changes_nothing_is_not_mentioned(notices_on):
    assert notices_on("import json, random; random.Random(3).random()") == []


def test_a_change_of_a_plugin_that_then_fails_is_put_back_too(install_plugin):
    here = os.getcwd()
    install_plugin("bad-dist", {"bad": "bad"}, {"bad.py": "import os\nos.chdir('/')\n1 / 0\n"})
    registry = load_registry()
    assert os.getcwd() == here
    assert [problem.plugin for problem in registry.problems] == ["bad"]
    assert [notice.plugin for notice in registry.notices] == ["bad"]


def test_a_folder_appended_to_the_import_path_stays(notices_on, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert notices_on("import sys; sys.path.append('/for/later')") == []
    assert sys.path[-1] == "/for/later"


def test_a_folder_put_before_the_others_moves_behind_them(notices_on, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    first = sys.path[0]
    notices_on("import sys; sys.path.insert(0, '/for/later')")
    assert (sys.path[0], sys.path[-1]) == (first, "/for/later")


def test_a_filter_for_warnings_of_the_plugins_own_stays(notices_on):
    code = """
import warnings
class Mine(UserWarning): ...
warnings.filterwarnings("ignore", category=Mine)
warnings.filterwarnings("ignore", message="this one")
warnings.filterwarnings("ignore", module="my_plugin")
"""
    with warnings.catch_warnings():
        assert notices_on(code) == []
        assert len(warnings.filters) >= 3
        assert any(message and message.pattern == "this one" for _, message, *_ in warnings.filters[:3])


def test_a_filter_that_is_put_back_works_at_once(notices_on):
    notices_on("import warnings; warnings.simplefilter('ignore')")
    with pytest.raises(UserWarning, match="heard"):  # the tests turn warnings into errors
        warnings.warn("heard", stacklevel=1)


TORCH_CHANGES = [
    ("torch.set_default_dtype(torch.float64)", "torch's default dtype"),
    ("torch.set_default_device('meta')", "torch's default device"),
    ("torch.set_grad_enabled(False)", "torch's grad mode"),
    ("torch.autograd.set_detect_anomaly(True)", "torch's anomaly detection"),
    pytest.param(  # it imports torch's compiler
        "torch.use_deterministic_algorithms(True)", "torch's deterministic algorithms", marks=pytest.mark.slow
    ),
    ("torch.set_num_threads(torch.get_num_threads() + 1)", "torch's number of threads"),
    ("torch.set_float32_matmul_precision('medium')", "torch's float32 matmul precision"),
    ("torch.backends.cuda.matmul.allow_tf32 = True", "torch.backends.cuda.matmul.allow_tf32"),
    ("torch.backends.cudnn.allow_tf32 ^= True", "torch.backends.cudnn.allow_tf32"),
    ("torch.backends.cudnn.benchmark ^= True", "torch.backends.cudnn.benchmark"),
    ("torch.backends.cuda.matmul.fp32_precision = 'tf32'", "torch.backends.cuda.matmul.allow_tf32"),
    ("torch.manual_seed(3); torch.rand(2)", "torch's random numbers"),
]


def torch_state():
    import torch

    return {setting.name: setting.read() for setting in process_state._torch_settings()}, torch.get_rng_state().tolist()


@pytest.mark.parametrize(("code", "name"), TORCH_CHANGES)
def test_a_change_of_torch_is_put_back_and_named(notices_on, code, name):
    before = torch_state()
    [notice] = notices_on(f"import torch; {code}")
    assert torch_state() == before
    assert name in notice


@pytest.mark.slow
def test_torch_that_a_plugin_loads_itself_is_set_as_torch_begins():
    program = """
import sys
from segbench.registry.process_state import restore_after_import
with restore_after_import() as changes:
    import torch
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
assert torch.get_default_dtype() is torch.float32 and torch.is_grad_enabled()
print(*changes, sep=",")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().split(",")[:2] == ["torch's default dtype", "torch's grad mode"]


def test_numpy_is_put_back(notices_on):
    import numpy as np

    before = np.geterr(), np.random.get_state()[1].tolist()
    [notice] = notices_on("import numpy as np; np.seterr(all='ignore'); np.random.seed(0)")
    assert (np.geterr(), np.random.get_state()[1].tolist()) == before
    assert "numpy's error handling" in notice
    assert "numpy's random numbers" in notice


def test_a_build_that_changes_global_state_is_reported_and_put_back(offer, capsys):
    import torch

    def careless(num_classes):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return num_classes

    made = offer("loss", careless)
    assert build(made, {"num_classes": 3}, {}) == 3
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (torch.float32, True)
    assert capsys.readouterr().err == (
        "plugin 'mine' (my-dist 1.0) changed torch's default dtype, torch's grad mode while it built mine/thing; "
        "this was put back\n"
    )


def test_a_build_may_draw_random_numbers_and_set_variables_of_its_libraries(offer, monkeypatch, capsys):
    import torch

    monkeypatch.setenv("SEGBENCH_TEST", "before")

    def ordinary(num_classes):
        os.environ["SEGBENCH_TEST"] = "set by a library"
        return torch.rand(num_classes)

    torch.manual_seed(0)
    expected = torch.rand(2), torch.rand(2)
    torch.manual_seed(0)
    built = build(offer("loss", ordinary), {"num_classes": 2}, {})
    assert capsys.readouterr().err == ""
    assert torch.equal(built, expected[0])
    assert torch.equal(torch.rand(2), expected[1])
    assert os.environ["SEGBENCH_TEST"] == "set by a library"
