"""Real worker processes that run the functions in functions/, without torch."""

from __future__ import annotations

import sys
import tempfile
import time
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from segbench.execute.workers import Limits, Workers

FUNCTIONS = Path(__file__).parent / "functions"
PATIENCE = 30.0  # seconds that anything may take before a test gives up


# Workers take over the import path of their parent.
sys.path.append(str(FUNCTIONS))


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path_factory, monkeypatch):
    """Keep the locks of devices, which all processes of a machine share, apart from those of real runs."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture(scope="session")
def workers():
    """Workers whose server knows the test runner, which their __main__ would import again and again."""
    return Workers(["pytest", "segbench.engine.job"])


@pytest.fixture
def until():
    """Wait until a condition holds; fail if it does not in good time."""

    def until(condition):
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.01)
        return found

    return until


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
