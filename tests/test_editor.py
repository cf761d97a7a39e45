"""What an editor makes of the schema of benchmark files, by the real language server."""

from __future__ import annotations

from segbench.cli import main
from segbench.cli.schema import MODELINE, SCHEMA_FILE

from .editor import start_editor

FILE = """\
name: edited
datasets: {nuclei: data/nuclei}
protocol: {budget: {epochs: 6}}
seeds: [0]
methods:
  unet:
    losses: [losses/dice]
    generator:
      use: smp/unet
      |
"""


def edited(folder, text):
    """Write a benchmark file with the schema beside it, and return where | stands in it, line and column from 0."""
    assert main(["schema", "-o", str(folder / SCHEMA_FILE)]) == 0
    before, _, after = f"{MODELINE}{text}".partition("|")
    (folder / "bench.yaml").write_text(before + after)
    *lines, last = before.split("\n")
    return len(lines), len(last)


def test_an_editor_completes_options_and_shows_a_mistake(tmp_path):
    with start_editor(tmp_path) as editor:
        place = edited(tmp_path, FILE)
        editor.open(tmp_path / "bench.yaml")
        assert editor.mistakes() == []
        offered = editor.completions(*place)
        assert {"encoder", "encoder_weights", "decoder_attention"} <= set(offered)
        assert "SMP's own encoders" in offered["encoder"]
        assert "receptive_field" not in offered

    with start_editor(tmp_path) as editor:
        line, _ = edited(tmp_path, FILE.replace("|", "encodr: resnet18|"))
        editor.open(tmp_path / "bench.yaml")
        assert editor.mistakes() == [(line, "Property encodr is not allowed.")]
