from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from segbench.errors import RecordError
from segbench.store.atomic import remove_abandoned, replacing, storage_error, write_atomically


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "file.json"


def test_a_file_is_written_with_its_folder_and_nothing_else_is_left(path):
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_stays_until_the_block_ends_and_after_an_error_in_it(path):
    write_atomically(path, b"old")

    def write_half():
        with replacing(path) as file:
            file.write(b"new")
            assert path.read_bytes() == b"old"
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_readable_for_others_as_the_umask_says(path, tmp_path):
    write_atomically(path, b"")
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk or quota is full (No space left on device); free some space"),
        (errno.EROFS, "it is read-only here (Read-only file system); make it writable for this user"),
        (errno.ENOTDIR, "a part of that path is a file, not a folder (Not a directory); move that file away"),
        (errno.EIO, "the system refuses it (Input/output error); remove that cause"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_an_error_with_cause_and_cure(tmp_path, number, message):
    error = storage_error(tmp_path, OSError(number, os.strerror(number)))
    assert str(error) == (
        f"cannot write to the results folder {tmp_path}: {message}, or choose another folder with --results"
    )


def test_a_folder_below_a_file_is_an_error(tmp_path):
    (tmp_path / "made").touch()
    with pytest.raises(RecordError, match="is a file, not a folder"):
        write_atomically(tmp_path / "made" / "file.json", b"")


WRITER = """
import sys
from pathlib import Path
from segbench.store.atomic import write_atomically

print("ready", flush=True)
while True:
    write_atomically(Path(sys.argv[1]), b"0123456789" * 10_000)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(path):
    write_atomically(path, b"0123456789" * 10_000)
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "ready\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert path.read_bytes() == b"0123456789" * 10_000


SLOW_WRITER = """
import sys
from pathlib import Path
from segbench.store.atomic import replacing

with replacing(Path(sys.argv[1])) as file:
    print("writes", flush=True)
    sys.stdin.read()
    file.write(b"whole")
"""


def slow_writer(path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writer = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(path)], **pipes)
    assert writer.stdout.readline() == "writes\n"
    return writer


def test_what_a_killed_process_was_writing_is_removed_and_what_a_living_one_writes_is_not(path):
    with slow_writer(path) as killed:
        killed.kill()
    (left,) = path.parent.iterdir()
    with slow_writer(path) as living:
        remove_abandoned(path.parent)
        (written,) = path.parent.iterdir()
        assert written != left
        living.stdin.close()
    assert living.returncode == 0
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == b"whole"


def test_only_regular_files_with_the_name_of_a_temporary_one_are_removed(tmp_path):
    (tmp_path / "victim").touch()
    (tmp_path / f".{'1' * 16}.tmp").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / f".{'2' * 16}.tmp")
    (tmp_path / f".{'3' * 16}.tmp").mkdir()
    (tmp_path / ".notes.tmp").touch()
    before = sorted(tmp_path.iterdir())
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(RecordError, match=f"{path} is a folder where a file belongs .*; move that folder away"):
        write_atomically(path, b"")


@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_another_file_is_not_written_through_its_link(tmp_path, plant):
    victim = tmp_path / "victim"
    victim.write_bytes(b"of somebody else")
    plant(victim, tmp_path / "file")
    write_atomically(tmp_path / "file", b"ours")
    assert (tmp_path / "file").read_bytes() == b"ours"
    assert victim.read_bytes() == b"of somebody else"


def test_a_pipe_is_replaced_without_waiting_for_a_reader(path):
    path.parent.mkdir()
    os.mkfifo(path)
    write_atomically(path, b"ours")
    assert path.read_bytes() == b"ours"
