from __future__ import annotations

import json

import pytest
import torch

from segbench.engine.recorded import find_record, load_network
from segbench.errors import RecordError, SegbenchError
from segbench.store.compaction import compact
from segbench.store.folder import ResultsFolder, read_record

CPU = torch.device("cpu")


def change(record, **fields):
    record.write_text(json.dumps(json.loads(record.read_text()) | fields))


def test_a_record_is_found_by_path_by_key_and_by_the_beginning_of_its_key(recorded_cell):
    results = recorded_cell.parent.parent
    for cell in (str(recorded_cell), recorded_cell.stem, recorded_cell.stem[:5]):
        assert find_record(cell, results) == recorded_cell


def test_an_unknown_key_is_an_error_that_says_where_it_was_looked_for(recorded_cell, tmp_path):
    results = recorded_cell.parent.parent
    with pytest.raises(RecordError, match=r"no key in .*results begins with 'xyz' \(1 records there\)"):
        find_record("xyz", results)
    with pytest.raises(RecordError, match="0 records there"):
        find_record("xyz", tmp_path / "elsewhere")


def copy_into_benchmark(record, benchmark, name=None):
    copy = record.parent.parent / benchmark / (name or record.name)
    copy.parent.mkdir()
    copy.write_bytes(record.read_bytes())
    return copy


def test_an_ambiguous_beginning_names_the_records_it_could_mean(recorded_cell):
    beginning = recorded_cell.stem[:15]
    other = copy_into_benchmark(
        recorded_cell, "other", f"{beginning}{'b' if recorded_cell.stem[-1] == 'a' else 'a'}.json"
    )
    with pytest.raises(RecordError, match="the beginning of more than one key") as caught:
        find_record(beginning, recorded_cell.parent.parent)
    assert str(other) in str(caught.value)
    assert str(recorded_cell) in str(caught.value)


def test_of_a_key_in_several_benchmarks_the_finished_cell_is_found(recorded_cell):
    change(copy_into_benchmark(recorded_cell, "failed"), status="failed")
    copy_into_benchmark(recorded_cell, "damaged").write_text("{")
    for cell in (recorded_cell.stem, recorded_cell.stem[:5]):
        assert find_record(cell, recorded_cell.parent.parent) == recorded_cell


def test_a_key_that_is_finished_in_several_benchmarks_asks_for_a_path(recorded_cell):
    other = copy_into_benchmark(recorded_cell, "other")
    with pytest.raises(
        RecordError, match="stands in 2 benchmarks, and 2 of its cells are finished; give the path"
    ) as caught:
        find_record(recorded_cell.stem, recorded_cell.parent.parent)
    assert str(other) in str(caught.value)
    assert str(recorded_cell) in str(caught.value)


@pytest.mark.parametrize("cell", ["results/gone.json", "gone.json"])
def test_a_missing_record_is_an_error(cell, tmp_path):
    with pytest.raises(RecordError, match=r"there is no record .*gone\.json"):
        find_record(cell, tmp_path)


def made_to_look_tuned(record):
    """Let the record say that its recipe is another one, and that a trial beside it won with what it was trained by."""
    content = json.loads(record.read_text())
    trial = "0" * 16
    beside = record.with_name(f"{trial}.json")
    beside.write_text(json.dumps(content | {"key": trial}))
    generator = content["spec"]["method"]["generator"]
    generator["options"]["width"] += 3
    trials = [{"key": trial, "settings": {}, "miou": 0.5}]
    change(record, spec=content["spec"], settled={"trials": trials, "winner": trial})
    return beside


def test_a_tuned_network_is_built_as_its_best_trial_was(recorded_cell):
    before = load_network(recorded_cell, CPU).network.state_dict()
    made_to_look_tuned(recorded_cell)
    after = load_network(recorded_cell, CPU).network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_tuned_network_without_its_best_trial_is_an_error(recorded_cell):
    made_to_look_tuned(recorded_cell).unlink()
    with pytest.raises(RecordError, match=r"tuned, and .* built as in its best trial: cannot read .*0000\.json"):
        load_network(recorded_cell, CPU)


def test_the_network_has_the_weights_that_were_kept(recorded_cell):
    from safetensors.torch import load_file

    recorded = load_network(recorded_cell, CPU)
    kept = load_file(recorded_cell.with_suffix("") / "model.safetensors")
    state = recorded.network.state_dict()
    assert state.keys() == kept.keys()
    assert all(torch.equal(state[name], kept[name]) for name in kept)
    assert not recorded.network.training
    assert recorded.dataset.channels == 3
    assert len(recorded.dataset.classes) == len(recorded.dataset.palette) == 3
    assert recorded.warnings == ()
    assert recorded.key == recorded_cell.stem
    assert recorded.score_map is None


def test_source_code_that_has_changed_since_is_warned_of(recorded_cell):
    spec = read_record(recorded_cell).spec
    spec["sources"]["generator basic/fcn"] = "0123456789abcdef"
    change(recorded_cell, spec=spec)
    [warning] = load_network(recorded_cell, CPU).warnings
    assert "the source code of basic/fcn has changed" in warning


def test_a_network_that_was_not_kept_is_an_error_that_says_how_to_keep_it(recorded_cell):
    (recorded_cell.with_suffix("") / "model.safetensors").unlink()
    with pytest.raises(RecordError, match=r"was not kept.*--set protocol\.keep\.model=last"):
        load_network(recorded_cell, CPU)


def test_a_failed_cell_is_refused_with_its_cause(recorded_cell):
    change(recorded_cell, status="failed", error={"cause": "out of memory"})
    with pytest.raises(RecordError, match=r"that cell is failed: out of memory; only a finished cell has a network"):
        load_network(recorded_cell, CPU)


def test_scored_label_maps_have_no_network(recorded_cell):
    change(recorded_cell, spec={"scored": True})
    with pytest.raises(RecordError, match="there is no network"):
        load_network(recorded_cell, CPU)


@pytest.mark.parametrize(("name", "content"), [("dataset.json", b"{}"), ("model.safetensors", b"nothing")])
def test_damaged_files_are_errors_that_name_them(recorded_cell, name, content):
    (recorded_cell.with_suffix("") / name).write_bytes(content)
    with pytest.raises(RecordError, match=name):
        load_network(recorded_cell, CPU)


@pytest.mark.parametrize("name", ["dataset.json", "model.safetensors"])
def test_one_flipped_bit_is_an_error_that_says_what_to_do(recorded_cell, name, flip_bit):
    flip_bit(recorded_cell.with_suffix("") / name, 3)
    with pytest.raises(RecordError) as error:
        load_network(recorded_cell, CPU)
    assert name in str(error.value)
    assert "its checksum does not match" in str(error.value)
    assert str(error.value).endswith(
        f"; move {recorded_cell} away and run its benchmark again: the cell is then run anew"
    )


def test_a_missing_description_of_the_dataset_is_an_error(recorded_cell):
    (recorded_cell.with_suffix("") / "dataset.json").unlink()
    with pytest.raises(RecordError, match=r"cannot read .*dataset\.json"):
        load_network(recorded_cell, CPU)


def test_weights_of_another_network_are_an_error(recorded_cell):
    spec = read_record(recorded_cell).spec
    spec["method"]["generator"]["options"]["width"] = 4
    change(recorded_cell, spec=spec)
    with pytest.raises(RecordError, match="does not fit the network that the plugin builds now"):
        load_network(recorded_cell, CPU)


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "it is not JSON"), (b'{"schema": 99}', "its schema is 99"), (b"[]", "holds a list")]
)
def test_a_damaged_record_is_an_error_that_names_it_and_stays_where_it_is(recorded_cell, content, message):
    recorded_cell.write_bytes(content)
    with pytest.raises(RecordError, match=rf"{recorded_cell.name}: .*{message}"):
        load_network(recorded_cell, CPU)
    assert recorded_cell.read_bytes() == content


def put(record, path, value):
    """Put a value at a dotted path of a record."""
    content = json.loads(record.read_text())
    *above, last = path.split(".")
    inner = content
    for step in above:
        inner = inner[step]
    inner[last] = value
    record.write_text(json.dumps(content))


CRAFTED = [
    ("spec.method.generator.options", {"width": 10**9}, "an option of 1000000000, which is more than it has weights"),
    ("spec.method.generator.options", {"width": 60_000}, "does not fit the network"),
    ("spec.method.generator.options", {"width": -1}, "width is -1; give at least 1 channel"),
    ("spec.method.generator.options", {"width": [1]}, "option 'width' of generator basic/fcn must be int"),
    ("spec.method.generator.options", {"breadth": 8}, "basic/fcn has no option 'breadth'"),
    ("spec.method.generator.use", "../../x", "unknown generator"),
    ("spec.method.maps", "image -> image", "it maps 'image -> image', but basic/fcn maps 'image -> labels'"),
    ("spec.method.protocol.threads", 10**9, "method.protocol.threads: Input should be less than or equal to 4096"),
    ("spec.method.protocol.crop", "8x8", "method.protocol.crop"),
    ("spec.method", [], "it is not a record: spec.method: "),
    ("spec", {}, "its spec is not that of a cell"),
    ("settled", {"winner": "../../x"}, "'../../x' is not the key of its best trial; a key has 16 hexadecimal digits"),
    ("settled", {"winner": "/etc/passwd"}, "is not the key of its best trial"),
]


@pytest.mark.parametrize(("place", "value", "message"), CRAFTED)
def test_a_record_that_no_run_has_written_is_refused_in_one_line(recorded_cell, place, value, message):
    put(recorded_cell, place, value)
    with pytest.raises(SegbenchError) as caught:
        load_network(recorded_cell, CPU)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("key", ["../../x", "/etc/passwd", "", None, "A" * 16, "a" * 17])
def test_a_refiner_names_its_base_by_a_key(recorded_cell, key):
    as_refiner(recorded_cell, key)
    with pytest.raises(RecordError, match="is not the key of the cell that it refines"):
        load_network(recorded_cell, CPU)


def test_a_refiner_of_itself_is_refused(recorded_cell):
    as_refiner(recorded_cell, recorded_cell.stem)
    with pytest.raises(RecordError, match="the record has been changed"):
        load_network(recorded_cell, CPU)


def as_refiner(record, base):
    """Let a record say that it refines another."""
    put(record, "spec.method.maps", "image, labels -> labels")
    put(record, "spec.upstream", {"refines": base})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("channels", 0),
        ("channels", "x"),
        ("palette", []),
        ("palette", [[0, 0, 256]]),
        ("classes", []),
        ("ignore_index", -1),
    ],
)
def test_a_description_of_a_dataset_that_cannot_be_is_refused(recorded_cell, name, value):
    change(recorded_cell.with_suffix("") / "dataset.json", **{name: value})
    with pytest.raises(RecordError, match=r"dataset\.json does not describe a dataset: "):
        load_network(recorded_cell, CPU)


def test_a_cell_in_a_segment_is_found_and_loaded_with_the_weights_that_lie_loose(recorded_cell):
    results = recorded_cell.parent.parent
    weights = load_network(recorded_cell, CPU).network.state_dict()
    compact(ResultsFolder(results, recorded_cell.parent.name))
    assert not recorded_cell.exists()
    for cell in (str(recorded_cell), recorded_cell.stem[:5]):
        assert find_record(cell, results) == recorded_cell
    loaded = load_network(recorded_cell, CPU)
    assert loaded.key == recorded_cell.stem
    assert all(torch.equal(weights[name], tensor) for name, tensor in loaded.network.state_dict().items())
