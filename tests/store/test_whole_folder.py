from __future__ import annotations

import pytest

from segbench.errors import RecordError
from segbench.store.whole_folder import replacing_folder, write_file


def is_own(folder):
    return (folder / "own").exists()


def write(path, *names):
    with replacing_folder(path, is_own) as folder:
        for name in names:
            write_file(folder / name, b"new")


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_takes_its_name_when_it_is_whole(tmp_path):
    write(tmp_path / "site", "own", "a/b")
    assert names(tmp_path) == ["site/a/b", "site/own"]


def test_an_own_folder_is_replaced_and_nothing_is_left_of_it(tmp_path):
    write(tmp_path / "site", "own", "old")
    write(tmp_path / "site", "own")
    assert names(tmp_path) == ["site/own"]
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "site").mkdir()
    write(tmp_path / "site", "own")
    assert names(tmp_path) == ["site/own"]


def test_what_fails_changes_nothing(tmp_path):
    write(tmp_path / "site", "own", "old")

    def fail():
        with replacing_folder(tmp_path / "site", is_own) as folder:
            write_file(folder / "own", b"")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert names(tmp_path) == ["site/old", "site/own"]
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("kind", ["full", "file", "link"])
def test_what_is_not_ours_is_not_replaced(tmp_path, kind):
    path = tmp_path / "mine"
    if kind == "file":
        path.touch()
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir()
        (path / "thesis").touch()
    with pytest.raises(RecordError, match=r"-o .*mine: this "):
        write(path, "own")


def test_a_folder_in_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecordError, match="there is no folder"):
        write(tmp_path / "a" / "b", "own")
