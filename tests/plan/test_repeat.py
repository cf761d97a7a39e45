from __future__ import annotations

import pytest

from segbench.config.recipe import DatasetUse
from segbench.errors import ComponentError, DataError, RecordError, SegbenchError, SpecError
from segbench.plan.key import ENGINE_VERSION, cell_key, file_hashes, fingerprint, source_hash
from segbench.plan.repeat import Repeats, check_key, describe_changes, read_cell
from segbench.registry.datasets import open_dataset
from segbench.store.record import PluginFile, Record

from .conftest import cell

KINDS = ["dataset toy/shapes", "generator toy/net", "loss toy/entropy"]


@pytest.fixture
def recorded(toy, monkeypatch, tmp_path):
    """Make the record of a cell as this machine would run it now, but for what is given."""
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    registry = toy.registry()

    def recorded(**changes):
        sources = {name: source_hash(registry.find(*name.split())) for name in KINDS}
        data = fingerprint(open_dataset(registry.find("dataset", "shapes"), None, {"images": 2}))
        facts = {"sources": sources, "fingerprint": data, "versions": {"pydantic": "2.0"}, **changes}
        made = cell(**facts)
        made = made.model_copy(update={"key": cell_key(made)})
        return Record(
            key=made.key,
            benchmark=made.benchmark,
            dataset=made.dataset_name,
            subset=made.subset,
            method=made.method.name,
            seed=made.seed,
            status="ok",
            spec=made.model_dump(mode="json", exclude={"dataset": {"root"}}),
            environment={"segbench": "0.0.9"},
        )

    recorded.repeats = Repeats(registry)
    return recorded


def refusal(recorded, record, tmp_path, error=SegbenchError):
    with pytest.raises(error) as caught:
        recorded.repeats.cell(record, tmp_path / record.key)
    return str(caught.value)


def test_a_cell_is_as_it_was_recorded(recorded, tmp_path):
    record = recorded()
    found = recorded.repeats.cell(record, tmp_path)
    assert (found.seed, found.method, found.dataset.root) == (record.seed, read_cell(record).method, None)
    assert len(recorded.repeats.dataset(found).splits["train"]) == 2


def test_other_sources_give_another_key_and_are_told(recorded, tmp_path):
    record = recorded(sources={**recorded().spec["sources"], "generator toy/net": "a" * 16})
    found = recorded.repeats.cell(record, tmp_path)
    assert found.key != record.key
    assert found.key == recorded.repeats.cell(recorded(**here(found)), tmp_path).key
    assert "the source code of generator toy/net has changed" in describe_changes(read_cell(record), found)


def here(found):
    return {"sources": found.sources, "versions": found.versions}


def test_the_same_code_gives_the_same_key_and_nothing_to_tell(recorded, tmp_path):
    record = recorded(**here(recorded.repeats.cell(recorded(), tmp_path)))
    found = recorded.repeats.cell(record, tmp_path)
    assert found.key == record.key
    assert describe_changes(read_cell(record), found) == []


def test_the_cell_of_an_older_engine_gets_a_new_key_and_is_told(recorded, tmp_path, monkeypatch):
    record = recorded(**here(recorded.repeats.cell(recorded(), tmp_path)))
    for module in ("key", "repeat"):
        monkeypatch.setattr(f"segbench.plan.{module}.ENGINE_VERSION", ENGINE_VERSION + 1)
    found = recorded.repeats.cell(record, tmp_path)
    assert found.key != record.key
    assert describe_changes(read_cell(record), found) == [
        f"the engine of segbench: {ENGINE_VERSION + 1}, was {ENGINE_VERSION}"
    ]


def test_other_data_are_not_scored(recorded, tmp_path):
    assert "its fingerprint is" in refusal(recorded, recorded(fingerprint="f" * 32), tmp_path, DataError)


def test_data_that_are_not_there_are_named(recorded, tmp_path):
    record = recorded(dataset=DatasetUse(use="toy/pictures"), sources={})
    assert "toy/" in refusal(recorded, record, tmp_path)


def test_a_plugin_that_is_not_there_is_named(recorded, tmp_path):
    record = recorded(dataset=DatasetUse(use="gone/shapes"))
    assert "gone" in refusal(recorded, record, tmp_path, ComponentError)


def test_a_plugin_file_that_is_not_given_is_named_with_its_copy(recorded, tmp_path):
    file = PluginFile(plugin="mine", sha256="ab" * 32, copy_path="plugins/mine.py")
    record = recorded(dataset=DatasetUse(use="mine/shapes")).model_copy(update={"plugin_files": [file]})
    copy = tmp_path / record.key / "plugins" / "mine.py"
    copy.parent.mkdir(parents=True)
    copy.touch()
    assert f"--plugin {copy}" in refusal(recorded, record, tmp_path, RecordError)


def test_a_file_that_an_option_names_must_be_what_it_was(recorded, tmp_path):
    weights = tmp_path / "w.bin"
    weights.write_bytes(b"1")
    record = recorded(files={str(weights): file_hashes([weights])[weights]})
    assert recorded.repeats.cell(record, tmp_path).files == record.spec["files"]
    weights.write_bytes(b"22")
    assert refusal(recorded, record, tmp_path, SpecError) == f"{weights}, which an option names, is not what it was"
    weights.unlink()
    assert "cannot be read" in refusal(recorded, record, tmp_path, SpecError)


def test_a_key_that_does_not_follow_from_the_spec_is_refused(recorded, tmp_path):
    record = recorded()
    changed = record.model_copy(update={"spec": {**record.spec, "seed": 7}, "seed": 7})
    assert "its key does not follow from its spec" in refusal(recorded, changed, tmp_path, RecordError)
    assert "(version 0.0.9)" in refusal(recorded, changed, tmp_path, RecordError)


def test_a_record_of_another_cell_than_its_spec_is_refused(recorded):
    with pytest.raises(RecordError, match="its spec is that of another cell"):
        check_key(recorded().model_copy(update={"method": "better"}))


@pytest.mark.parametrize(
    ("spec", "cause"), [({"scored": True}, "nothing to run"), ({"seed": "x"}, "its spec is not that of a cell, ")]
)
def test_what_holds_no_cell_is_not_run(recorded, tmp_path, spec, cause):
    record = recorded()
    assert cause in refusal(recorded, record.model_copy(update={"spec": spec}), tmp_path, RecordError)


def test_other_versions_of_libraries_are_told_and_no_obstacle(recorded, tmp_path):
    record = recorded(versions={"pydantic": "1.9"})
    found = recorded.repeats.cell(record, tmp_path)
    (told,) = [one for one in describe_changes(read_cell(record), found) if "pydantic" in one]
    assert told == f"pydantic: {found.versions['pydantic']}, was 1.9"
