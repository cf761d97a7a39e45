"""Workers that a command of the user's starts, such as ssh: each is a process here, and lasts as long as it does."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from segbench.errors import SpecError

from .ends import End, last_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORKER, NUMBER = "{worker}", "{number}"


def check_template(template: str | None) -> None:
    """Raise SpecError for a template that starts no worker."""
    if template is None or WORKER not in template:
        given = "--on command needs --command TEMPLATE" if template is None else f"--command {shlex.quote(template)}"
        raise SpecError(
            f"{given}: {WORKER} in it stands for the command line of a worker, as in 'ssh node{NUMBER} {WORKER}'"
        )


def fill_in(template: str, line: str, count: int) -> list[str]:
    """Return a shell's command for each worker: {worker} is its command line as one word, {number} counts from 1."""
    numbered = [template.replace(NUMBER, str(number)) for number in range(1, count + 1)]
    return [command.replace(WORKER, shlex.quote(line)) for command in numbered]


class Commands:
    """Running commands; what the first writes is kept in worker-1.log in the folder of the launch."""

    def __init__(self, commands: Sequence[str], place: Path) -> None:
        self._logs = [place / f"worker-{number}.log" for number in range(1, len(commands) + 1)]
        self._sent: set[signal.Signals] = set()
        self._running = [_start(command, log) for command, log in zip(commands, self._logs, strict=True)]

    @property
    def is_going(self) -> bool:
        """Whether any command has not ended."""
        return any(process.poll() is None for process in self._running)

    def ends(self) -> list[End]:
        """Return how the commands ended, once none is going."""
        codes = [process.poll() for process in self._running]
        return [
            End(f"worker {number}", code if code is not None and code >= 0 else None, last_lines(log))
            for number, (code, log) in enumerate(zip(codes, self._logs, strict=True), start=1)
        ]

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the commands to end, or kill them at once; each is sent only the first time."""
        number = signal.SIGKILL if at_once else signal.SIGTERM
        if number in self._sent:
            return
        self._sent.add(number)
        for process in self._running:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)


def _start(command: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
