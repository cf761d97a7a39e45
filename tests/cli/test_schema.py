from __future__ import annotations

import json

from segbench.cli import main


def test_a_broken_plugin_is_told_on_stderr_and_the_rest_printed(install_plugin, capsys):
    install_plugin("bad-dist", {"bad": "bad"}, {"bad.py": "raise RuntimeError('no luck')"})
    assert main(["schema"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "smp/unet" in printed.out
    assert (
        "broken plugin 'bad' (bad-dist 1.0) offers nothing: bad cannot be imported: RuntimeError: no luck"
        in printed.err
    )
