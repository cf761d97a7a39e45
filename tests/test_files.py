from __future__ import annotations

import os
import socket
import stat

import pytest

from segbench.files import (
    check_file,
    make_own_folder,
    make_private_folder,
    make_way_for_folder,
    open_file,
    open_own_log,
    read_file,
    set_aside,
)


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(b"of somebody else")
    return path


def plant_pipe(path):
    os.mkfifo(path)


def plant_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def plant_device(path):
    path.symlink_to("/dev/zero")


def plant_folder(path):
    path.mkdir()


PLANTED = [
    (plant_pipe, "it is a pipe, not a file"),
    (plant_socket, "it is a socket, not a file"),
    (plant_device, "it is a device, not a file"),
    (plant_folder, "it is a folder, not a file"),
]


@pytest.mark.parametrize(("plant", "cause"), PLANTED)
@pytest.mark.parametrize("use", [read_file, check_file, open_file])
def test_what_is_no_file_is_refused_at_once_with_its_kind(tmp_path, plant, cause, use):
    plant(tmp_path / "planted")
    with pytest.raises(OSError, match=cause):
        use(tmp_path / "planted")


def test_a_link_to_a_file_is_read_but_never_written(tmp_path, victim):
    (tmp_path / "link").symlink_to(victim)
    assert read_file(tmp_path / "link") == b"of somebody else"
    with pytest.raises(OSError, match="it is a link, not a file"):
        open_file(tmp_path / "link", os.O_RDWR | os.O_CREAT)


def test_a_link_without_target_makes_no_file_there(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="it is a link"):
        open_file(tmp_path / "link", os.O_RDWR | os.O_CREAT)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_is_read_up_to_a_size(victim):
    assert read_file(victim, 16) == b"of somebody else"
    with pytest.raises(OSError, match="more than 15 bytes"):
        read_file(victim, 15)


@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_a_log_is_never_another_file(tmp_path, victim, plant):
    plant(victim, tmp_path / "log")
    for text in (b"one ", b"two"):
        descriptor = open_own_log(tmp_path / "log")
        os.write(descriptor, text)
        os.close(descriptor)
    assert victim.read_bytes() == b"of somebody else"
    assert (tmp_path / "log").read_bytes() == b"one two"


def test_a_folder_is_made_in_place_of_a_link_and_what_the_link_leads_to_stays(tmp_path, victim):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    make_own_folder(tmp_path / "link")
    (tmp_path / "link" / "file").touch()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_that_is_set_aside_keeps_its_content(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"broken")
    assert set_aside(path) == tmp_path / "a.safetensors.corrupt"
    assert set_aside(path.with_name("a.safetensors.corrupt")).read_bytes() == b"broken"
    assert not path.exists()


def test_a_folder_and_a_file_that_are_set_aside_do_not_replace_one_another(tmp_path):
    path = tmp_path / "name"
    for number in range(3):
        path.touch() if number == 1 else (path / str(number)).mkdir(parents=True)
        set_aside(path)
    assert sorted(path.name for path in tmp_path.glob("name.*corrupt/*")) == ["0", "2"]
    assert len([path for path in tmp_path.iterdir() if path.is_file()]) == 1


def test_a_log_and_a_folder_are_made_where_something_else_lies(tmp_path):
    (tmp_path / "log").mkdir()
    os.close(open_own_log(tmp_path / "log"))
    (tmp_path / "folder").touch()
    for _ in range(2):
        make_way_for_folder(tmp_path / "folder")
    assert {path.name: path.is_file() for path in tmp_path.iterdir()} == {
        "log": True,
        "log.corrupt": False,
        "folder": False,
        "folder.corrupt": True,
    }


def test_a_private_folder_is_for_its_user_alone(tmp_path):
    for _ in range(2):
        make_private_folder(tmp_path / "mine")
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o700


def open_to_all(path):
    path.mkdir()
    path.chmod(0o777)


def of_another_user(path):
    path.mkdir(0o700)
    os.chown(path, 65534, 65534)


def link_to_private(path):
    make_private_folder(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


@pytest.mark.parametrize("plant", [open_to_all, of_another_user, link_to_private, plant_pipe])
def test_another_kind_of_folder_is_refused_as_private(tmp_path, plant):
    if plant is of_another_user and os.getuid() != 0:
        pytest.skip("only root gives folders away")
    plant(tmp_path / "planted")
    with pytest.raises(OSError, match="no folder that only this user can enter"):
        make_private_folder(tmp_path / "planted")
