"""A benchmark run from Python: what it returns, how it is interrupted, what a notebook shows of it."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager

import pytest

import segbench
from segbench.execute.progress import NoProgress
from segbench.execute.workers import Event
from segbench.interactive import progress
from segbench.interactive.progress import NotebookProgress
from segbench.plan.plan import open_plan

SMALL = {"protocol.budget": {"steps": 2}, "protocol.timing": "none", "protocol.threads": 1}


async def run_in_a_loop(**arguments):
    """Run as a cell of a notebook does, whose kernel has a running event loop."""
    return segbench.run("shapes-smoke", settings=SMALL, device="cpu", **arguments)


class StopAfterOne(NoProgress):
    """Sends this process Ctrl-C when the first cell ends."""

    def ended(self, activity, cell, status, failure):
        if activity == "cell" and status == "ok":
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_is_interrupted_keeps_what_is_finished_and_goes_on(tmp_path, monkeypatch, capsys):
    @contextmanager
    def stopping():
        yield StopAfterOne()

    asked = {"methods": ["fcn"], "seeds": [0, 1], "results": tmp_path}
    with monkeypatch.context() as patch:
        patch.setitem(segbench.run.__globals__, "show_progress", stopping)
        with pytest.raises(KeyboardInterrupt, match="the same call resumes"):
            asyncio.run(run_in_a_loop(**asked))
    cells = segbench.load(tmp_path).cells()
    assert cells[cells.status == "ok"].seed.tolist() == [0]
    results = asyncio.run(run_in_a_loop(**asked))
    assert "1 cell to run, 1 already recorded" in capsys.readouterr().err
    assert results.cells()[["method", "seed", "status"]].values.tolist() == [["fcn", 0, "ok"], ["fcn", 1, "ok"]]
    assert results.cells().train_steps.tolist() == [2, 2]


def test_a_mistake_is_told_before_anything_trains(tmp_path):
    with pytest.raises(segbench.SegbenchError, match="Did you mean 'shapes-smoke'"):
        segbench.run("shapes-smok", results=tmp_path)
    with pytest.raises(segbench.SegbenchError, match="'fcm'"):
        segbench.run("shapes-smoke", methods="fcm", results=tmp_path)


class Shown:
    """What a notebook shows: the text of the output that IPython's display made and updates."""

    def __call__(self, data, *, raw, display_id):
        self.update(data, raw=raw)
        return self

    def update(self, data, *, raw):
        self.text = data["text/plain"]


def test_a_notebook_shows_a_line_for_each_ended_cell_above_the_bars():
    cells = open_plan("shapes-smoke", only=["fcn"]).cells
    shown = Shown()
    with NotebookProgress(shown) as listener:
        listener.now = lambda: 100.0
        listener.planned(cells, 3)
        for cell in cells:
            listener.started("cell", cell)
        listener.reported("cell", cells[0], Event("step", {"step": 6, "steps": 12, "loss": 0.5}))
        listener.ended("cell", cells[1], "ok", None)
        listener.notice("warning: \x1b[31m")
        lines = shown.text.splitlines()
        assert lines[0] == "2 cells to run, 3 already recorded"
        assert lines[1].startswith("shapes / fcn / seed 1: ok")
        assert lines[2] == "warning: \\u001b[31m"
        assert [line.split("━")[0].strip() for line in lines[3:]] == ["all cells", "shapes / fcn / seed 0"]
        assert "1 of 2 cells done" in lines[3]
        assert "step 6 of 12, loss 0.5" in lines[4]
        listener.ended("cell", cells[0], "ok", None)
    assert "2 of 2 cells done" in shown.text


def test_only_a_kernel_is_a_notebook(monkeypatch):
    class Module:
        @staticmethod
        def get_ipython():
            return None

    monkeypatch.setitem(progress.sys.modules, "IPython", Module)
    assert progress._notebook_display() is None
