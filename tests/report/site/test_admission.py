"""What a leaderboard takes of submissions: of a trained cell, packed, and then changed as somebody might."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from segbench.errors import RecordError
from segbench.plan.cell import Cell
from segbench.plan.key import cell_key
from segbench.registry import load_registry
from segbench.report.records import identity, read_sources
from segbench.report.site.admission import admit
from segbench.report.submission import list_submitted, pack
from segbench.stats.scores import per_class, scores
from segbench.store.compaction import compact
from segbench.store.counts import read_counts, write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.json_file import read_json


@pytest.fixture
def results(recorded_cell):
    return recorded_cell.parents[1]


@pytest.fixture
def submit(results, tmp_path):
    """Pack the cell and change its record, or its counts; the manifest is made to fit unless it is said otherwise."""

    def submit(change=lambda content: None, recount=None, name="entry", told=True, more=None):
        sources = read_sources([results])
        folder = tmp_path / name
        pack(sources, list_submitted(sources, sources.ranked), None, load_registry(), folder)
        (path,) = (folder / "shapes-smoke").glob("*.json")
        content = read_json(path)
        if recount:
            counts = recount(read_counts(path.with_suffix("")))
            write_counts(path.with_suffix(""), counts)
            content["scores"] = scores(counts).model_dump()
            content["per_class"] = per_class(counts).model_dump()
        change(content)
        path.unlink()
        path.with_suffix("").rename(path.with_name(content["key"]))
        path = path.with_name(f"{content['key']}.json")
        path.write_text(json.dumps(content))
        if more:
            (path.with_suffix("") / more).touch()
        if told:
            files = [one for one in folder.rglob("*") if one.is_file() and one.name != "entry.json"]
            hashes = {one.relative_to(folder).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}
            manifest = read_json(folder / "entry.json") | {"files": hashes}
            (folder / "entry.json").write_text(json.dumps(manifest))
        return folder

    return submit


def rename(content, name="mine", **protocol):
    """Make the record one of another method, with the key that it then has."""
    content["spec"]["method"] |= {"name": name}
    content["spec"]["method"]["protocol"] |= protocol
    content["method"] = name
    content["key"] = content["spec"]["key"] = cell_key(Cell.model_validate(content["spec"]))


def refusal(results, folder):
    (found,) = admit([results, folder]).refusals
    return found


def test_a_submission_that_holds_up_is_taken_and_named(results, submit):
    admitted = admit([results, submit(rename)])
    assert admitted.refusals == ()
    assert [record.method for record in admitted.sources.ranked] == ["fcn", "mine"]
    mine = admitted.sources.ranked[1]
    assert admitted.entries == {identity(mine): "entry"}
    assert admitted.sources.counts(mine).num_classes


def test_a_folder_of_submissions_is_read_whole_and_the_first_sets_the_benchmark(submit, tmp_path):
    (tmp_path / "entries").mkdir()
    submit(name="entries/a")
    submit(rename, name="entries/b")
    submit(lambda content: rename(content, "other", batch_size=7), name="entries/c")
    admitted = admit([tmp_path / "entries"])
    assert [record.method for record in admitted.sources.ranked] == ["fcn", "mine"]
    assert [one.source for one in admitted.refusals] == ["c"]


def test_of_a_cell_that_is_recorded_already_the_first_record_counts(results, submit):
    admitted = admit([results, submit()])
    assert len(admitted.sources.records) == 1
    assert (admitted.entries, admitted.refusals) == ({}, ())


@pytest.mark.parametrize("part", ["miou", "dice", "boundary_iou", "ece"])
def test_scores_that_do_not_follow_from_the_counts_are_refused(results, submit, part):
    def improve(content):
        rename(content)
        content["scores"][part] += 0.01

    found = refusal(results, submit(improve))
    assert part.replace("miou", "mIoU") in found.reason
    assert "counts" in found.reason
    assert str(found).startswith("entry: shapes-smoke / shapes / mine / seed 0 (")


def test_scores_by_class_that_do_not_follow_are_refused(results, submit):
    def improve(content):
        rename(content)
        content["per_class"]["boundary_f1"][0] = 1.0

    assert refusal(results, submit(improve)).reason == "its scores do not follow from its counts: boundary_f1 by class"


def test_another_protocol_is_refused_with_the_keys_that_differ(results, submit):
    found = refusal(results, submit(lambda content: rename(content, batch_size=7)))
    assert found.reason.startswith("its protocol is not the benchmark's: batch_size 7 and not ")


def test_keys_that_a_method_overrides_are_its_own(results, submit):
    def override(content):
        content["spec"]["method"]["overrides"] = ["optimizer.lr"]
        rename(content, optimizer={**content["spec"]["method"]["protocol"]["optimizer"], "lr": 0.5})

    assert admit([results, submit(override)]).refusals == ()


def test_a_benchmark_that_the_results_folders_have_not_is_refused(results, submit):
    def move(content):
        content["spec"]["dataset_name"] = content["dataset"] = "squares"
        rename(content)

    expected = "the results folders hold no shapes-smoke on squares to check it against"
    assert refusal(results, submit(move)).reason == expected


def test_other_data_are_refused(results, submit):
    def elsewhere(content):
        content["spec"]["fingerprint"] = "0" * 32
        rename(content)

    assert refusal(results, submit(elsewhere)).reason.startswith(f"its data fingerprint {'0' * 32} is not the bench")


def test_other_labels_are_refused(results, submit):
    def relabel(counts):
        return replace(counts, confusion=counts.confusion[:, ::-1, ::-1].copy(), boundary=None, band=None, small=None)

    assert "were scored with different labels" in refusal(results, submit(rename, recount=relabel)).reason


def test_a_key_that_does_not_follow_from_the_recipe_is_refused(results, submit):
    def claim(content):
        content["spec"]["method"]["losses"] = []

    assert "its key does not follow from its spec" in refusal(results, submit(claim)).reason


def test_what_was_changed_after_packing_is_refused(results, submit):
    found = refusal(results, submit(lambda content: content["environment"].update(cpu="faster"), told=False))
    assert found.reason.endswith(".json is not what was packed")


def test_a_submission_holds_no_images_and_nothing_else_that_does_not_belong_into_it(results, submit):
    found = refusal(results, submit(more="dataset.json"))
    assert found.reason.endswith("/dataset.json does not belong into a submission")


def test_a_reason_does_not_tell_where_the_submission_lies(results, submit, tmp_path):
    folder = submit(rename)
    for path in folder.rglob("counts.parquet"):
        path.write_bytes(b"")
    manifest = read_json(folder / "entry.json")
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / "entry.json").write_text(json.dumps(manifest | {"files": hashes}))
    reason = refusal(results, folder).reason
    assert "cannot read the counts in shapes-smoke/" in reason
    assert str(tmp_path) not in reason


def test_a_manifest_that_is_none_refuses_the_submission(results, submit):
    folder = submit()
    (folder / "entry.json").write_text('{"format": "else"}')
    found = refusal(results, folder)
    assert (found.record, found.source) == (None, "entry")
    assert "is not the manifest of a submission" in found.reason


def test_where_nothing_is_left_the_reasons_are_told(submit):
    folder = submit()
    (folder / "entry.json").write_text("{}")
    with pytest.raises(RecordError, match=r"nothing is left to be shown\n  refused: entry: "):
        admit([folder])


def test_a_cell_in_a_segment_is_packed_as_a_loose_one(results, submit):
    loose = submit(name="loose", told=False)
    compact(ResultsFolder(results, "shapes-smoke"))
    packed = submit(name="packed", told=False)
    files = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in (loose, packed)]
    assert files[0] == files[1]
    (record,) = (packed / "shapes-smoke").glob("*.json")
    assert record.read_bytes() == (loose / "shapes-smoke" / record.name).read_bytes()
    one, other = (read_sources([folder]) for folder in (loose, packed))
    (record,) = other.ranked
    assert (one.counts(record).confusion == other.counts(record).confusion).all()
