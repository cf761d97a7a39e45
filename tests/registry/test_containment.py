"""A plugin that misbehaves while it is loaded costs nobody else anything."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys

import pytest

from segbench.errors import PluginError
from segbench.registry import load_registry, plugins
from segbench.registry.datasets import open_dataset
from segbench.registry.options import build

from .conftest import GOOD

LOUD = """
import ctypes, os, subprocess, sys
print("print")
sys.stdout.buffer.write(b"buffer\\n")
sys.__stdout__.write("first stdout\\n")
os.write(1, b"native\\n")
ctypes.CDLL(None).puts(b"c library")
subprocess.run([sys.executable, "-S", "-c", "print('child')"], check=True)
"""

SAID = ["print", "buffer", "first stdout", "native", "c library", "child"]


@pytest.fixture
def installed(install_plugin):
    """Install a plugin that begins with the given code, and another one beside it."""

    def installed(code, name="mine"):
        install_plugin(f"{name}-dist", {name: f"{name}_plugin"}, {f"{name}_plugin.py": f"{code}\n{GOOD}"})
        install_plugin("other-dist", {"other": "other_plugin"}, {"other_plugin.py": GOOD})
        return install_plugin.folder

    return installed


def run(folder, *arguments, **environment):
    """Run the program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "segbench", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
    )


def test_stdout_stays_pure_whatever_prints_and_stderr_says_who_it_was(installed):
    done = run(installed(LOUD), "list", "losses", "--json")
    assert "mine/good" in {component["name"] for component in json.loads(done.stdout)}
    title, *lines = done.stderr.splitlines()
    assert title == "plugin 'mine' (mine-dist 1.0) printed while it was loaded:"
    assert sorted(lines) == sorted(f"  {line}" for line in SAID)


def test_a_stream_that_a_plugin_keeps_from_its_import_writes_to_stderr_later(installed):
    code = "import atexit, sys; atexit.register(print, 'later', file=sys.stdout)"
    done = run(installed(code), "list", "losses", "--json")
    json.loads(done.stdout)
    assert done.stderr == "later\n"


def test_output_without_end_is_cut(installed, capsys):
    installed("print('x' * 100_000)")
    load_registry()
    told = capsys.readouterr().err
    assert len(told) < 11_000
    assert "... and more, 100001 bytes in all" in told


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_does_no_harm(installed, closed):
    folder = installed("print('hello')")
    number = {"stdout": 1, "stderr": 2}[closed]
    program = f"import os, sys; os.close({number}); from segbench.registry import load_registry as load; "
    program += f"found = load().find('loss', 'mine/good'); os.write({3 - number}, b'found')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder)}
    )
    assert "found" in done.stdout + done.stderr


def test_what_the_build_of_a_dataset_prints_goes_to_stderr(offer, capfd):
    def build_data():
        from segbench import Dataset

        print("print")
        os.write(1, b"native\n")
        return Dataset(["a"], [(0, 0, 0)], {"train": [None]})

    open_dataset(offer("dataset", build_data), None, {})
    captured = capfd.readouterr()
    assert captured.out == ""
    assert {"print", "native"} <= set(captured.err.split())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise RuntimeError('no luck')", "mine_plugin cannot be imported: RuntimeError: no luck."),
        ("import sys; sys.exit(3)", "mine_plugin cannot be imported: SystemExit: 3."),
        ("import sys; sys.exit('Bye.')", "mine_plugin cannot be imported: SystemExit: Bye."),
        ("import pytest; pytest.skip('no', allow_module_level=True)", "mine_plugin cannot be imported: Skipped: no."),
        (
            "class Odd(BaseException):\n    def __str__(self): return 1 / 0\nraise Odd",
            "mine_plugin cannot be imported: Odd.",
        ),
        ("raise MemoryError", "mine_plugin cannot be imported: MemoryError."),
        ("def f(): f()\nf()", "mine_plugin cannot be imported: RecursionError"),
        ("def __dir__(): raise OSError('no dir')", "OSError: no dir."),
    ],
)
def test_whatever_ends_the_import_ends_nothing_else(installed, code, message):
    installed(code)
    registry = load_registry()
    [problem] = registry.problems
    assert (problem.plugin, problem.distribution) == ("mine", "mine-dist 1.0")
    assert problem.message.startswith(message)
    assert problem.traceback
    assert registry.find("loss", "other/good")


def test_ctrl_c_while_a_plugin_is_loaded_interrupts(installed):
    installed("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    stdout = sys.stdout
    with pytest.raises(KeyboardInterrupt):
        load_registry()
    assert sys.stdout is stdout


def test_a_hook_that_is_interrupted_interrupts(install_plugin):
    code = "from segbench import hookimpl\n@hookimpl\ndef segbench_losses():\n    raise KeyboardInterrupt\n"
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": code})
    with pytest.raises(KeyboardInterrupt):
        load_registry()


def test_a_slow_plugin_is_named_while_it_is_still_being_loaded(installed, monkeypatch, tmp_path):
    told = io.StringIO()
    monkeypatch.setattr(plugins, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(sys, "stderr", told)
    # It goes on only once it has been named, and changes stderr meanwhile.
    installed(
        "import sys, time\n"
        "told, sys.stderr, end = sys.stderr, None, time.monotonic() + 30\n"
        "while 'mine' not in told.getvalue() and time.monotonic() < end: time.sleep(0.001)\n"
        "assert time.monotonic() < end"
    )
    registry = load_registry()
    assert (
        "plugin 'mine' (mine-dist 1.0) has been loading for 0.01 s and goes on; `--disable mine` leaves it out\n"
    ) in told.getvalue()
    assert registry.find("loss", "mine/good")
    assert registry.seconds["mine"] >= 0.01


def test_a_crash_on_import_shows_where_it_came_from(installed):
    done = run(installed("import ctypes\ndef crash(): ctypes.string_at(0)\ncrash()"), "list")
    assert done.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in done.stderr
    assert 'mine_plugin.py", line 2 in crash' in done.stderr


def test_a_plugin_that_crashes_can_be_left_out(installed):
    folder = installed("import os; os.kill(os.getpid(), 11)")
    done = run(folder, "list", "losses", "--disable", "mine")
    assert done.returncode == 0
    assert "other/good" in done.stdout


def test_an_entry_point_that_leads_nowhere_says_what_it_must_be(install_plugin):
    install_plugin("my-dist", {"mine": "not a module!"}, {})
    [problem] = load_registry().problems
    assert problem.message == "the entry point leads to 'not a module!'; write MODULE or MODULE:OBJECT."


def test_a_distribution_without_metadata_hides_nothing(install_plugin):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": GOOD})
    (install_plugin.folder / "my-dist-1.0.dist-info" / "METADATA").unlink()
    offer = load_registry().find("loss", "mine/good")
    assert (offer.distribution, offer.version) == ("unknown", "unknown")


def test_a_build_that_calls_sys_exit_is_an_error_of_its_plugin(offer):
    def build_data(num_classes):
        sys.exit(0)

    with pytest.raises(PluginError, match=r"loss mine/thing: its build called sys.exit\(0\)"):
        build(offer("loss", build_data), {"num_classes": 2}, {})
