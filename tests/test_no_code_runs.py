"""Reading what others made runs no code: benchmark files, checkpoints, weights, counts, records.

Each file here would leave a mark if any of its code ran.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.cli import main
from segbench.config.yaml import MOST_VALUES, Place, read_text
from segbench.errors import RecordError, SegbenchError, SpecError, WeightsError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def mark(tmp_path):
    """A path that must not exist at the end."""
    path = tmp_path / "code-ran"
    yield path
    assert not path.exists()


class Evil:
    """Its pickle leaves a mark when it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def test_an_evil_pickle_does_leave_its_mark(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "code-ran"))).close()
    assert (tmp_path / "code-ran").exists()


BENCHMARK = """
name: strange
datasets: {{shapes: {{use: data/shapes, classes: 3, size: [24, 24], train: 2, val: 1, test: 1}}}}
protocol: {{budget: {{steps: 1}}, batch_size: 1, crop: [16, 16]}}
seeds: [0]
methods: {{fcn: {{generator: {{use: basic/fcn, width: {width}}}, losses: [losses/cross_entropy]}}}}
"""

TAGGED = [
    "!!python/object/apply:builtins.open [{mark}, w]",
    "!!python/object/apply:os.system ['touch {mark}']",
    "!!python/object/new:os.system ['touch {mark}']",
    "!!python/object:__main__.Evil {{}}",
    "!!python/name:os.system ''",
    "!!python/module:this ''",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {mark}']",
    "!evil {mark}",
    "!!set {{a}}",
]


@pytest.mark.parametrize("value", TAGGED)
@pytest.mark.parametrize("place", ["{}", "{{a: {}}}", "[{}]", "{{? {} : 1}}"])
def test_a_tag_is_refused_wherever_it_stands(value, place, mark):
    with pytest.raises(SpecError, match=r"is not supported; write plain values|must be a plain name|not valid YAML"):
        read_text(place.format(value.format(mark=mark)), Place("bench.yaml", Path(), line=1))


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_benchmark_file_with_a_tag_is_refused(command, mark, tmp_path, capsys):
    file = tmp_path / "strange.yaml"
    file.write_text(BENCHMARK.format(width=f"!!python/object/apply:os.system ['touch {mark}']"))
    assert main([command, str(file)]) == 2
    assert capsys.readouterr().err == (
        f"error: {file}:6: methods.fcn.generator.width: the tag !!python/object/apply:os.system is not supported; "
        "write plain values\n"
    )


def test_what_is_set_on_the_command_line_is_read_the_same_way(mark, capsys):
    evil = f"!!python/object/apply:os.system ['touch {mark}']"
    assert main(["plan", "shapes-smoke", "--set", f"protocol.batch_size={evil}"]) == 2
    assert "the tag !!python/object/apply:os.system is not supported" in capsys.readouterr().err
    assert main(["time", f"{{use: basic/fcn, width: {evil}}}", "--dataset", "data/shapes"]) == 2
    assert "the tag !!python/object/apply:os.system is not supported" in capsys.readouterr().err


def bomb(item: str, levels: int = 12) -> str:
    """Return a list of lists of lists: each level names the one before it ten times."""
    lines = [f"a0: &a0 {item}"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines)


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory():
    with pytest.raises(SpecError, match=f"more than {MOST_VALUES} values; are aliases nested in aliases"):
        read_text(bomb("{a: lol}"), Place("bomb.yaml", Path(), line=1))


def test_a_file_nested_too_deeply_is_refused():
    with pytest.raises(SpecError, match=r"nested too deeply|not valid YAML"):
        read_text("[" * 2_000, Place("deep.yaml", Path(), line=1))


@pytest.mark.parametrize("key", ["plugin", "plugins", "import", "python"])
def test_a_benchmark_file_cannot_name_code(key, mark, tmp_path, capsys):
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(mark)!r}, 'w')")
    file = tmp_path / "strange.yaml"
    file.write_text(f"{BENCHMARK.format(width=4)}{key}: {evil}\n")
    assert main(["plan", str(file)]) == 2
    assert f"{key!r}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["evil", "evil/net", "evil:build", "os.system", "../evil.py", "evil.build"])
def test_the_name_of_a_component_imports_nothing(name, mark, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "strange.yaml"
    file.write_text(BENCHMARK.format(width=4).replace("basic/fcn", name))
    assert main(["plan", str(file)]) == 2
    assert "evil" not in sys.modules


def test_what_lies_beside_a_benchmark_file_is_not_imported(mark, tmp_path):
    program = Path(sys.executable).with_name("segbench")
    if not program.is_file():
        pytest.skip("needs the program segbench beside Python")
    for module in ("torch", "numpy", "json", "evil", "sitecustomize", "conftest"):
        (tmp_path / f"{module}.py").write_text(f"open({str(mark)!r}, 'w')")
    information = tmp_path / "evil-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[segbench]\nevil = evil\n")
    (tmp_path / "strange.yaml").write_text(BENCHMARK.format(width=4))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([program, "plan", "strange.yaml"], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr


def write_pickle(path, mark):
    path.write_bytes(pickle.dumps({"weight": Evil(mark)}))


def write_torch_pickle(path, mark):
    import torch

    torch.save({"weight": Evil(mark)}, path)


def write_old_torch_pickle(path, mark):
    import torch

    torch.save({"weight": Evil(mark)}, path, _use_new_zipfile_serialization=False)


PICKLES = [write_pickle, write_torch_pickle, write_old_torch_pickle]


@pytest.mark.parametrize("write", PICKLES)
def test_a_checkpoint_that_is_a_pickle_is_refused(write, mark, tmp_path):
    from segbench.engine.model.checkpoint import load_tensors

    write(tmp_path / "checkpoint.safetensors", mark)
    with pytest.raises(RecordError, match="is not a readable checkpoint"):
        load_tensors(tmp_path / "checkpoint.safetensors")


@pytest.mark.parametrize("write", PICKLES)
def test_a_recorded_network_that_is_a_pickle_is_refused(write, mark, recorded_cell):
    import torch

    from segbench.engine.recorded import load_network

    write(recorded_cell.with_suffix("") / "model.safetensors", mark)
    with pytest.raises(RecordError, match=r"model\.safetensors is not a readable checkpoint"):
        load_network(recorded_cell, torch.device("cpu"))


@pytest.mark.parametrize("write", PICKLES)
def test_probabilities_that_are_a_pickle_are_refused(write, mark, tmp_path):
    from segbench.engine.data.probabilities import ProbabilityFields

    write(tmp_path / "probabilities.safetensors", mark)
    with pytest.raises(RecordError, match="cannot be read"):
        ProbabilityFields.open([tmp_path / "probabilities.safetensors"], ["one"])


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("write", PICKLES)
def test_weights_that_are_a_pickle_with_code_are_refused(write, suffix, mark, tmp_path):
    from segbench.weights import read_weights

    path = tmp_path / f"weights{suffix}"
    write(path, mark)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights(path, "weights")


@pytest.mark.parametrize("write", PICKLES)
def test_weights_of_the_features_that_are_a_pickle_with_code_are_refused(write, mark, tmp_path):
    from segbench.engine.generation.features import network_features

    write(tmp_path / "weights.pth", mark)
    with pytest.raises(WeightsError):
        network_features("test_vit", str(tmp_path / "weights.pth"))


def test_counts_with_a_pickled_column_type_run_nothing(mark, recorded_cell):
    import pyarrow as pa
    from pyarrow import parquet

    from segbench.store.counts import read_counts

    # What pyarrow before 14.0.1 unpickled (CVE-2023-47248): the type of a column.
    path = recorded_cell.with_suffix("") / "counts.parquet"
    table = parquet.read_table(path)
    pickled = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Evil(mark)),
    }
    fields = [field.with_metadata(pickled) for field in table.schema]
    schema = pa.schema(fields, metadata={b"pandas": pickle.dumps(Evil(mark))})
    parquet.write_table(pa.Table.from_arrays(table.columns, schema=schema), path)
    with contextlib.suppress(SegbenchError):  # to refuse it is as good
        read_counts(path.parent)


def test_a_report_runs_no_copy_of_a_plugin(mark, recorded_cell, capsys):
    copy = recorded_cell.with_suffix("") / "plugins" / "evil.py"
    copy.parent.mkdir()
    copy.write_text(f"open({str(mark)!r}, 'w')")
    content = json.loads(recorded_cell.read_text())
    content["plugin_files"] = [{"plugin": "evil", "sha256": "0" * 64, "copy_path": "plugins/evil.py"}]
    recorded_cell.write_text(json.dumps(content))
    assert main(["report", str(recorded_cell.parent.parent)]) == 0
    assert "evil/ is a single file" in " ".join(capsys.readouterr().out.split())


# What would run code from a file, and the argument with which it does not.
UNSAFE = {
    "torch.load": ("weights_only", True),
    "timm.models.load_state_dict": ("weights_only", True),
    "torch.hub.load": None,
    "torch.jit.load": None,
    "np.load": ("allow_pickle", False),
    "pickle.load": None,
    "pickle.loads": None,
    "pickle.Unpickler": None,
    "shelve.open": None,
    "marshal.load": None,
    "marshal.loads": None,
    "joblib.load": None,
    "pd.read_pickle": None,
    "yaml.load": None,
}


@pytest.mark.parametrize("folder", ["segbench", "plugins"])
def test_the_sources_call_nothing_that_unpickles_code(folder):
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or (name := ast.unparse(node.func)) not in UNSAFE:
                continue
            wanted = UNSAFE[name]
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if wanted is None or given.get(wanted[0]) != str(wanted[1]):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert found == []
