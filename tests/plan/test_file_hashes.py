from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from segbench.plan.cache_folder import cache_folder
from segbench.plan.file_hashes import file_hashes

LONG_AGO = 1_600_000_000


def write_old(path, content):
    """Write a file that was last changed long ago."""
    path.write_bytes(content)
    os.utime(path, (LONG_AGO, LONG_AGO))


def stores():
    return list((cache_folder() / "file_hashes").glob("*"))


def test_hashes_are_sha256_of_the_content(tmp_path):
    path = tmp_path / "a file"
    write_old(path, b"content")
    assert file_hashes([path]) == {path: hashlib.sha256(b"content").hexdigest()}


def test_no_files_have_no_hashes():
    assert file_hashes([]) == {}


def test_a_file_of_the_same_size_and_time_is_not_read_again(tmp_path):
    path = tmp_path / "a"
    write_old(path, b"first")
    before = file_hashes([path])
    write_old(path, b"other")
    assert file_hashes([path]) == before


@pytest.mark.parametrize("seconds", [LONG_AGO + 1, LONG_AGO - 1])
def test_a_file_of_another_time_is_read_again(tmp_path, seconds):
    path = tmp_path / "a"
    write_old(path, b"first")
    file_hashes([path])
    path.write_bytes(b"other")
    os.utime(path, (seconds, seconds))
    assert file_hashes([path])[path] == hashlib.sha256(b"other").hexdigest()


def test_a_file_of_another_size_is_read_again(tmp_path):
    path = tmp_path / "a"
    write_old(path, b"first")
    file_hashes([path])
    write_old(path, b"longer than before")
    assert file_hashes([path])[path] == hashlib.sha256(b"longer than before").hexdigest()


def test_a_file_changed_just_now_is_not_remembered(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"first")
    time = path.stat().st_mtime_ns
    file_hashes([path])
    path.write_bytes(b"other")
    os.utime(path, ns=(time, time))
    assert file_hashes([path])[path] == hashlib.sha256(b"other").hexdigest()


def test_further_files_of_a_folder_leave_the_others_remembered(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    write_old(first, b"first")
    write_old(second, b"second")
    before = file_hashes([first])
    file_hashes([second])
    write_old(first, b"other")
    assert file_hashes([first]) == before


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"a": 3}', b'{"a": ["x", "y", "z"]}', b"\xff\xfe\x00"])
def test_a_corrupt_cache_is_ignored_and_written_anew(tmp_path, damage):
    path = tmp_path / "a"
    write_old(path, b"first")
    before = file_hashes([path])
    (store,) = stores()
    whole = store.read_bytes()
    store.write_bytes(damage)
    assert file_hashes([path]) == before
    assert store.read_bytes() == whole


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "file" / "cache"))
    path = tmp_path / "a"
    write_old(path, b"first")
    assert file_hashes([path]) == {path: hashlib.sha256(b"first").hexdigest()}


def test_a_missing_file_is_an_os_error_with_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        file_hashes([tmp_path / "gone"])
    assert error.value.filename == str(tmp_path / "gone")


def test_two_processes_at_once_agree_and_leave_one_whole_cache(tmp_path):
    for number in range(50):
        write_old(tmp_path / f"{number}", bytes([number]) * 1000)
    program = (
        "import sys, pathlib\n"
        "from segbench.plan.file_hashes import file_hashes\n"
        "for _ in range(20):\n"
        "    hashes = file_hashes(sorted(pathlib.Path(sys.argv[1]).iterdir()))\n"
        "print(sorted(hashes.values()))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate()[0] for process in processes]
    expected = sorted(hashlib.sha256(bytes([number]) * 1000).hexdigest() for number in range(50))
    assert answers == [f"{expected}\n"] * 2
    assert [store.suffix for store in stores()] == [".json"]
