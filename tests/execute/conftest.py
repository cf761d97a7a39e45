"""Real worker processes that run the functions in functions/, without torch."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from segbench.execute.workers import Limits, Workers

from ..conftest import PATIENCE  # noqa: TID252 - tests have no absolute name

FUNCTIONS = Path(__file__).parent / "functions"
PROGRAM = FUNCTIONS / "run_functions.py"


# Workers take over the import path of their parent.
sys.path.append(str(FUNCTIONS))


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path_factory, monkeypatch):
    """Keep the locks of devices, which all processes of a machine share, apart from those of real runs."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture(scope="module", autouse=True)
def server_of_these_tests():
    """End the server of workers after these tests: it has not imported what the workers of other tests need."""
    yield
    forkserver._forkserver._stop()


@pytest.fixture(scope="session")
def workers():
    """Workers whose server knows the test runner, which their __main__ would import again and again."""
    return Workers(["pytest", "segbench.engine.job"])


PLUGIN = """
import ctypes, subprocess, sys, time

def build():
    return sorted([1, 'a'])

def crash():
    ctypes.string_at(0)

def leave():
    return subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid

def hang():
    while True:
        time.sleep(0.05)

def hog(patient):
    held = []
    while patient:
        held.append(bytearray(b'1' * 20_000_000))
    raise MemoryError
"""


@pytest.fixture
def broken_plugin(install_plugin):
    """Install a plugin `broken` whose functions misbehave, and one `other` in the same package; returns its folder."""
    files = {"__init__": "", "network": PLUGIN, "other/__init__": ""}
    points = {"broken": "broken_plugin", "other": "broken_plugin.other"}
    install_plugin("broken", points, {f"broken_plugin/{name}.py": text for name, text in files.items()})
    return install_plugin.folder / "broken_plugin"


def is_alive(pid):
    """Tell whether a process runs; one that ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def outcome_of(workers, tmp_path):
    """Run one function in a worker to its end; returns its outcome, its events are in `outcome_of.events`."""

    def outcome_of(function, job=None, **limits):
        worker = workers.start(f"worker_functions:{function}", job, tmp_path / "work", Limits(**limits))
        deadline = time.monotonic() + PATIENCE
        while worker.running:
            assert time.monotonic() < deadline, "the worker never ended"
            wait(worker.waitables, 0.05)
            outcome_of.events += worker.events()
            worker.enforce_limits()
        outcome_of.events += worker.events()
        return worker.outcome()

    outcome_of.events = []
    return outcome_of


@pytest.fixture
def program(tmp_path, start):
    """Start a run in a process of its own."""
    return lambda methods, seeds=1: start(PROGRAM, tmp_path, methods, seeds, PYTHONPATH=os.pathsep.join(sys.path))
