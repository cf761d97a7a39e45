from __future__ import annotations

import json

import pytest

from segbench.registry.extras import install_command


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'far-dist[heavy]'"),
        ({"vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}, "pip install 'far-dist[heavy]'"),
        ({"dir_info": {"editable": True}}, "pip install -e '/home/ada/my clone[heavy]'"),
        ({"dir_info": {}}, "pip install '/home/ada/my clone[heavy]'"),
    ],
)
def test_an_extra_is_installed_from_where_its_distribution_is(tmp_path, monkeypatch, origin, command):
    folder = tmp_path / "far_dist-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: far-dist\nVersion: 1.0\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps({"url": "file:///home/ada/my%20clone", **origin}))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert install_command("heavy", "far-dist") == command
