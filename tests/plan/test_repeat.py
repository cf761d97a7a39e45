from __future__ import annotations

import pytest

from segbench.config.recipe import DatasetUse
from segbench.errors import ComponentError, DataError, RecordError, SegbenchError, SpecError
from segbench.plan.key import cell_key, file_hashes, fingerprint, source_hash
from segbench.plan.repeat import Repeats, check_key
from segbench.registry.datasets import open_dataset
from segbench.store.record import PluginFile, Record

from .conftest import cell, method

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
    assert (found.key, found.method.generator.options, found.dataset.root) == (record.key, {"width": 16}, None)
    assert len(recorded.repeats.dataset(found).splits["train"]) == 2


def test_other_sources_are_not_run(recorded, tmp_path):
    record = recorded(sources={**recorded().spec["sources"], "generator toy/net": "a" * 16})
    assert refusal(recorded, record, tmp_path, ComponentError).startswith(
        "the source code of toy/net is not what it was"
    )


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
    assert recorded.repeats.cell(record, tmp_path).key == record.key
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
    record = recorded(method=method(protocol=cell().method.protocol), versions={"pydantic": "1.9"})
    (told,) = [
        one for one in recorded.repeats.other_versions(recorded.repeats.cell(record, tmp_path)) if "pydantic" in one
    ]
    assert told.startswith("pydantic 1.9, now 2.")
