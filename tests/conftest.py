"""Fixtures that several test packages use."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from .browser import start_chromium

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .browser import Chromium

PATIENCE = 900.0  # seconds after which a test gives up; no bound on the time that anything takes
# How the program is started in a process of its own.
SEGBENCH = ("-P", "-m", "segbench")
SHARED = Path(__file__).resolve().parents[2] / "shared"

# Small tensors gain nothing from threads, which wait for one another on a busy machine. Set before torch is imported;
# cells set the number of their protocol.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A loaded machine is no reason to fail: no property is about time.
settings.register_profile("segbench", deadline=None)
settings.load_profile("segbench")


@pytest.fixture
def shared_data() -> Path:
    """The folder of real datasets beside the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real datasets in {folder}")
    return folder


@pytest.fixture
def shared_weights() -> Path:
    """The folder of ImageNet weights beside the repository."""
    folder = SHARED / "weights"
    if not folder.is_dir():
        pytest.skip(f"needs the pretrained weights in {folder}")
    return folder


@pytest.fixture
def flip_bit() -> Callable[[Path, int], None]:
    """A function that flips one bit of a file, anywhere in it, chosen by a seed."""

    def flip(path: Path, seed: int) -> None:
        content = bytearray(path.read_bytes())
        bit = random.Random(seed).randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)

    return flip


@pytest.fixture
def training_seed() -> int:
    """The seed of what a test marked `trains` trains: 0, or another one from tests/processors.py."""
    return int(os.environ.get("SEGBENCH_TEST_SEED", "0"))


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what longer-lived fixtures do out of the user's cache and data folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGBENCH_CACHE", str(tmp_path_factory.mktemp("session-cache")))
        patch.delenv("SEGBENCH_DATA", raising=False)
        yield


@pytest.fixture(scope="session")
def new_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Ever new folders for caches; a numbered one of pytest's costs a look at those of all tests before."""
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def own_cache(new_caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test out of the user's cache and data folders."""
    monkeypatch.setenv("SEGBENCH_CACHE", str(next(new_caches)))
    monkeypatch.delenv("SEGBENCH_DATA", raising=False)


@pytest.fixture(autouse=True, scope="session")
def locks_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the locks of devices, which all processes of a machine share, apart from those of other runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(autouse=True, scope="session")
def no_terminal() -> Iterator[None]:
    """Let tables be as wide as in a pipe, whatever width the runner or its processes have set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def ctrl_c() -> Iterator[None]:
    """Let SIGINT have its usual meaning, which a shell takes from what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def no_runner_in_workers() -> Iterator[None]:
    """Spare worker processes the import of the test runner, which is the __main__ that they would take over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(sys.modules["__main__"], "__file__", raising=False)
        yield


def segbench(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder, as `python -m segbench` would, but in this process: torch is loaded only once.

    Its workers are processes as ever; they come from one server for the whole session.
    """
    from segbench.cli import main

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(folder), redirect_stdout(out), redirect_stderr(err):
        for name, value in environment.items():
            patch.setenv(name, value)
        code = main(list(arguments))
    return subprocess.CompletedProcess(["segbench", *arguments], code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session", name="segbench")
def segbench_program() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The program as a function of the folder it works in and its arguments; keywords are environment variables."""
    return segbench


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Wait until a condition holds, and return what it is; fail if it does not hold in good time."""

    def until(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.01)
        return found

    return until


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python in a process of its own, which signals can reach alone; those still there at the end are killed.

    Keywords are environment variables; `cwd` is the folder that it works in.
    """
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        command, pipe = [sys.executable, *map(str, arguments)], subprocess.PIPE
        own = {**os.environ, **environment}
        started.append(subprocess.Popen(command, cwd=cwd, env=own, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a process."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def label(record: dict) -> str:
    """Return the method of a record, with its subset if that is not everything."""
    return record["method"] if record["subset"] == "all" else f"{record['method']} {record['subset']}"


def records(folder: Path, name: Callable[[dict], Any] = label) -> dict[Any, dict]:
    """Return the records under results/ in a folder by a name of each."""
    found = [json.loads(path.read_text()) for path in folder.glob("results/*/*.json")]
    return {name(record): record for record in found}


class Installer:
    """Lays out distributions in a folder, as pip would: a dist-info and the modules beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages: set[str] = set()

    def __call__(self, distribution: str, plugins: dict[str, str], files: dict[str, str], version: str = "1.0") -> None:
        """Install `files` (path: source) with the entry points `plugins` (name: module)."""
        info = self.folder / f"{distribution}-{version}.dist-info"
        points = "\n".join(f"{name} = {value}" for name, value in plugins.items())
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        for path, text in {
            **files,
            f"{info.name}/METADATA": metadata,
            f"{info.name}/entry_points.txt": f"[segbench]\n{points}\n",
        }.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            self.packages.add(path.split("/")[0].removesuffix(".py"))


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    """Installs plugins into a folder that is searched for this test only."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    installer = Installer(folder)
    yield installer
    for name in [name for name in sys.modules if name.partition(".")[0] in installer.packages]:
        del sys.modules[name]


class Silent:
    """A channel that nobody listens to."""

    def emit(self, event: str, **fields: object) -> None:
        """Drop an event."""

    def stop_requested(self) -> bool:
        """Never stop."""
        return False


@pytest.fixture(scope="session")
def trained_cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of a small cell of the benchmark shapes-smoke, trained once for all tests; not to be changed."""
    import torch

    from segbench.engine.cell import run_cell
    from segbench.engine.job import CellJob
    from segbench.plan.plan import open_plan
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Record

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        opened = open_plan(
            "shapes-smoke", only=["fcn"], seeds=[0], sets=["protocol.budget.steps=2"], threads=torch.get_num_threads()
        )
        [cell] = opened.cells
        key = str(cell.key)
        results = ResultsFolder(tmp_path_factory.mktemp("trained"), cell.benchmark)
        results.cell_folder(key).mkdir(parents=True)
        result = run_cell(CellJob(cell=cell, folder=str(results.cell_folder(key)), device="cpu"), Silent())
    record = Record(
        key=key,
        benchmark=cell.benchmark,
        dataset=cell.dataset_name,
        subset=cell.subset,
        method=cell.method.name,
        seed=cell.seed,
        spec=cell.model_dump(mode="json", exclude={"dataset": {"root"}}),
        **dict(result),
    )
    results.write(record)
    return results.record_path(key)


@pytest.fixture
def recorded_cell(trained_cell: Path, tmp_path: Path) -> Path:
    """A copy of the record of a small cell, in results/<benchmark>/ with what the cell left beside it."""
    results = tmp_path / "results"
    shutil.copytree(trained_cell.parent.parent, results)
    return results / trained_cell.parent.name / trained_cell.name


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """Headless Chromium, one for all tests of a file: Playwright's event loop ends before tests that have their own."""
    with start_chromium() as browser:
        yield browser


@pytest.fixture
def save() -> Callable[..., Any]:
    """Writes an array, a mode and a format by the file's extension, into folders made as needed."""

    def write(path: Path, pixels: Any, **options: Any) -> Any:
        path.parent.mkdir(parents=True, exist_ok=True)
        import numpy as np
        from PIL import Image

        array = np.asarray(pixels, dtype=None if hasattr(pixels, "dtype") else np.uint8)
        Image.fromarray(array).save(path, **options)
        return array

    return write
