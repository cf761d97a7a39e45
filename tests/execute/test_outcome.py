"""How a worker can end."""

from __future__ import annotations

import signal

import pytest

from segbench.execute.outcome import cause_of_death


@pytest.mark.parametrize(
    ("exit_code", "cause"),
    [
        (0, "the worker process exited with code 0 before it answered"),
        (-signal.SIGTERM, "killed by SIGTERM"),
        (-signal.SIGABRT, "killed by SIGABRT (native code gave up)"),
        (-250, "killed by signal 250"),
    ],
)
def test_an_exit_code_is_put_into_words(exit_code, cause):
    assert cause_of_death(exit_code) == cause
