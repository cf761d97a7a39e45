"""What lies in the folder that the program is called in is data to it, never code."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("segbench", "random", "json", "copy", "re", "typing", "dataclasses", "tempfile", "torch", "numpy", "PIL")


@pytest.fixture
def shadow(tmp_path: Path) -> Path:
    """A folder whose files would end any process that takes them for modules."""
    folder = tmp_path / "shadow"
    folder.mkdir()
    for name in NAMES[1:]:
        (folder / f"{name}.py").write_text(f"raise SystemExit('shadowed {name}')")
    return folder


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_program_takes_no_module_from_the_working_folder(shadow):
    done = call(shadow, sys.executable, "-m", "segbench", "show", "generator", "basic/fcn")
    assert (done.returncode, done.stderr) == (0, "")
    assert "basic/fcn" in done.stdout


@pytest.mark.slow
def test_the_processes_of_check_take_no_module_from_the_working_folder(shadow):
    done = call(shadow, sys.executable, "-m", "segbench", "check", "loss", "losses/dice")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fork_server_imports_nothing_from_the_working_folder(shadow, tmp_path):
    (shadow / "segbench").mkdir()
    program = tmp_path / "program.py"
    program.write_text(
        "import segbench.execute.workers as w\n"
        "from pathlib import Path\n"
        "if __name__ == '__main__':\n"
        f"    worker = w.Workers().start('posixpath:exists', None, Path({str(tmp_path / 'work')!r}), w.Limits())\n"
        "    worker._process.join(60)\n"
        "    list(worker.events())\n"
        "    print(worker.outcome().failure.cause)\n"
    )
    done = call(shadow, sys.executable, str(program))
    # The function is no segbench function, so that its answer shows that the worker came as far as calling it.
    assert done.stdout.startswith("TypeError: exists() takes 1 positional argument"), done.stderr
