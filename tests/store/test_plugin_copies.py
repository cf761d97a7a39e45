from __future__ import annotations

import hashlib
import os

import pytest

from segbench.store.plugin_copies import keep_copies, plugin_files


@pytest.fixture
def given_files(tmp_path, monkeypatch):
    for name in ("edges", "other"):
        (tmp_path / f"{name}.py").write_text(f"# {name}\r\n", newline="")
    paths = os.pathsep.join(str(tmp_path / f"{name}.py") for name in ("edges", "other"))
    monkeypatch.setenv("SEGBENCH_PLUGIN_FILES", paths)


def test_only_files_that_offer_a_component_are_named(given_files):
    [file] = plugin_files(["smp/unet", "edges/loss", "edges/penalty"])
    assert (file.plugin, file.copy_path) == ("edges", "plugins/edges.py")
    assert file.sha256 == hashlib.sha256(b"# edges\r\n").hexdigest()


def test_a_copy_is_the_file_to_the_byte(given_files, tmp_path):
    keep_copies(["edges/loss"], tmp_path / "cell")
    assert (tmp_path / "cell" / "plugins" / "edges.py").read_bytes() == b"# edges\r\n"
    assert not (tmp_path / "cell" / "plugins" / "other.py").exists()


def test_a_copy_is_not_written_through_a_link(given_files, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "plugins").symlink_to(tmp_path / "elsewhere")
    keep_copies(["edges/loss"], tmp_path / "cell")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_without_a_file_no_folder_is_made(tmp_path):
    keep_copies(["smp/unet"], tmp_path / "cell")
    assert not (tmp_path / "cell").exists()
