from __future__ import annotations

import pytest

from segbench.errors import CellError
from segbench.launch.ends import End, check_ends, describe_ends, last_lines

DONE, LATE = End("worker 1", 0, ("bye",)), End("worker 2", 75, ("late",))
KILLED = [End("worker 5", None, ()), End("worker 6", None, ())]
ABSENT = End("worker 3", 127, ("sh: ssh: not found",))


def test_workers_are_told_by_how_they_ended_with_the_last_words_of_what_failed():
    assert describe_ends([DONE, ABSENT, LATE, DONE._replace(name="worker 4"), *KILLED]) == [
        "worker 1, worker 4 ended with 0 (nothing was left to take)",
        "worker 3 ended with 127 (the command was not found); the last lines of worker 3:",
        "  sh: ssh: not found",
        "worker 2 ended with 75 (its time was up)",
        "worker 5, worker 6 were killed, by system or machine",
    ]
    assert describe_ends(KILLED[:1]) == ["worker 5 was killed, by system or machine"]


def test_it_is_an_error_only_if_no_worker_could_work(tmp_path):
    check_ends([DONE, ABSENT], tmp_path)
    for ends in ([ABSENT], []):  # the last as where jobs were cancelled while they waited
        with pytest.raises(CellError) as caught:
            check_ends(ends, tmp_path)
        first = f"no worker came to an end of its work; their output is in {tmp_path}"
        assert str(caught.value).splitlines() == [first, *describe_ends(ends)]


def test_the_last_lines_of_a_file_are_read_whatever_they_hold(tmp_path):
    log = tmp_path / "log"
    assert last_lines(log) == ()
    log.write_bytes(b"".join(b"%d\n" % number for number in range(20)) + b"\xff\n")
    assert last_lines(log) == (*map(str, range(13, 20)), "\ufffd")
