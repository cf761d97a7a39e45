from __future__ import annotations

import shlex

import pytest

from segbench.errors import SpecError
from segbench.launch.commands import Commands, check_template, fill_in
from segbench.launch.ends import End


@pytest.mark.parametrize("template", [None, "ssh node3", "{workers}"])
def test_a_template_that_starts_no_worker_is_refused(template):
    with pytest.raises(SpecError, match=r"\{worker\} in it stands for the command line of a worker, as in 'ssh node"):
        check_template(template)


def test_the_command_line_of_a_worker_is_one_word_and_workers_are_counted():
    line = "cd '/my results' && exec segbench worker {number}"
    commands = fill_in("ssh node{number} {worker}", line, 2)
    assert [shlex.split(command) for command in commands] == [["ssh", f"node{number}", line] for number in (1, 2)]


def test_the_output_and_the_codes_of_commands_are_kept(tmp_path, until):
    commands = Commands(["echo one; exit 3", "no-such-program", "kill -9 $$"], tmp_path)
    until(lambda: not commands.is_going)
    first, second, third = commands.ends()
    assert first == End("worker 1", 3, ("one",))
    assert second.code == 127
    assert "no-such-program" in second.lines[-1]
    assert third == End("worker 3", None, ())
    assert (tmp_path / "worker-1.log").read_text() == "one\n"


def test_commands_are_asked_to_end_before_they_are_killed(tmp_path, until):
    waits = "echo waits; while true; do sleep 0.01; done"
    commands = Commands([f"trap 'exit 130' TERM; {waits}", f"trap '' TERM; {waits}"], tmp_path)
    until(lambda: all("waits" in end.lines for end in commands.ends()))
    commands.stop()
    commands.stop(at_once=True)
    until(lambda: not commands.is_going)
    assert commands.ends()[1].code is None
