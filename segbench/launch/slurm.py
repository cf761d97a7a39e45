"""Workers as one array job of SLURM: its settings, its script, and the jobs that follow from it."""

from __future__ import annotations

import getpass
import math
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from segbench.errors import CellError, SpecError
from segbench.store.atomic import write_atomically

from .ends import End, last_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segbench.plan.cell import Cell

SCRIPT = "job.sh"
_JOBS = "jobs"  # the ids of the array and of all jobs that its workers submit
_WARNING_SECONDS = 120
_ASK_SECONDS = 15.0  # between two questions to SLURM, whose controller serves everybody
_UNSAFE = re.compile(r"[^\w.+-]")

Word = Annotated[str, Field(pattern=r"^\S+$")]  # a directive is read word by word
Directive = Annotated[str, Field(pattern=r"^-[^\n\r]+$")]


class Slurm(BaseModel):
    """The settings of an array job; `lines` are further directives such as --account=vision."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    workers: Annotated[int, Field(ge=1)] = 1
    partition: Word | None = None
    time: Word | None = None
    gres: Word | None = None
    cpus: Annotated[int, Field(ge=1)] | None = None
    mem: Word | None = None
    lines: tuple[Directive, ...] = ()
    resubmit: Annotated[int, Field(ge=0)] = 10

    def for_cells(self, cells: Sequence[Cell], jobs: int) -> Self:
        """Return these settings with as many CPUs as the cells of a worker have threads, unless they say how many."""
        threads = max((cell.method.protocol.threads or 1 for cell in cells), default=1)
        return self if self.cpus else self.model_copy(update={"cpus": jobs * threads})


def check_slurm() -> None:
    """Raise SpecError if there is no SLURM to submit to."""
    if shutil.which("sbatch") is None:
        raise SpecError(
            "--on slurm: there is no program sbatch on this machine; start the run where jobs are submitted, "
            "or start workers by another command: --on command"
        )


def write_script(settings: Slurm, name: str, line: str) -> str:
    """Return the script of an array job called after a benchmark, each task of which runs the command line of a worker.

    It is submitted, and runs, in the folder of the launch. Its argument counts how often a worker has submitted itself
    again since its time was up.
    """
    asked = {
        "job-name": f"segbench-{_UNSAFE.sub('-', name)}",
        "output": "%A_%a.log",
        "signal": f"B:USR1@{_WARNING_SECONDS}",
        "partition": settings.partition,
        "time": settings.time,
        "gres": settings.gres,
        "cpus-per-task": settings.cpus,
        "mem": settings.mem,
    }
    directives = [f"--{key}={value}" for key, value in asked.items() if value is not None]
    # A requeue by SLURM beside ours would run a worker twice.
    head = "\n".join(f"#SBATCH {line}" for line in ["--no-requeue", *directives, *settings.lines])
    return f"""#!/bin/bash
{head}

# SLURM signals this shell ahead of the time limit, and at its end all processes.
trap 'kill -USR1 $worker' USR1
trap : TERM
{line} &
worker=$!
wait $worker
while kill -0 $worker 2>/dev/null; do wait $worker; done
wait $worker
code=$?

# 75: the time is up while cells are left.
again=${{1:-0}}
if [ $code = 75 ] && [ $again -lt {settings.resubmit} ]; then
    sbatch --parsable --array=$SLURM_ARRAY_TASK_ID {SCRIPT} $((again + 1)) >> {_JOBS} || code=$?
elif [ $code = 75 ]; then
    echo "went on in a new job {settings.resubmit} times, as --resubmit says; the same segbench run goes on" >&2
fi
echo $code > ${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID.end
exit $code
"""


def submit(script: str, workers: int, place: Path) -> Jobs:
    """Submit the script of an array job with so many tasks; CellError if SLURM refuses it."""
    write_atomically(place / SCRIPT, script.encode())
    command = ["sbatch", "--parsable", f"--array=1-{workers}", SCRIPT]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        said = done.stderr.strip() or f"it ended with {done.returncode}"
        raise CellError(f"sbatch refused the job: {said}\nits script is {place / SCRIPT}")
    with (place / _JOBS).open("a", encoding="utf-8") as jobs:
        jobs.write(done.stdout)
    return Jobs(place)


class Jobs:
    """An array job that was submitted from a folder, and the jobs that its workers have submitted since."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._asked, self._was_going = -math.inf, True

    @property
    def numbers(self) -> list[str]:
        """The numbers of the jobs, that of the array first."""
        lines = (self._place / _JOBS).read_text(encoding="utf-8").split()
        return [line.partition(";")[0] for line in lines]  # the name of a cluster may stand behind it

    @property
    def is_going(self) -> bool:
        """Whether any job waits or runs, as SLURM said last; where it cannot be asked, none is taken for ended."""
        if time.monotonic() - self._asked >= _ASK_SECONDS:
            numbers = self.numbers  # read first: a job that ends has submitted its successor before
            queued = _ask_queue()
            self._asked = time.monotonic()
            self._was_going = queued is None or not queued.isdisjoint(numbers) or numbers != self.numbers
        return self._was_going

    def ends(self) -> list[End]:
        """Return how the workers of all jobs ended; None as the code of one that left none."""
        logs = sorted(self._place.glob("*_*.log"))
        return [End(f"worker {log.stem}", _read_code(log.with_suffix(".end")), last_lines(log)) for log in logs]


def _ask_queue() -> set[str] | None:
    """Return the numbers of the arrays of this user that wait or run; None if SLURM does not say."""
    command = ["squeue", "--noheader", "--format=%F", f"--user={getpass.getuser()}"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return set(done.stdout.split()) if done.returncode == 0 else None


def _read_code(path: Path) -> int | None:
    """Return what a script has left as the code of its worker; bash has -1 where it lost it to a signal."""
    try:
        code = int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return code if code >= 0 else None
