from __future__ import annotations

import gc
import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from segbench.errors import RecordError
from segbench.store.folder import ResultsFolder, files_of, record_of, without_collecting

KEY = "0123456789abcdef"
OTHER = "fedcba9876543210"


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path / "results", "tiny")


def test_a_written_record_is_read_back(folder, make_record):
    folder.write(make_record())
    assert folder.read(KEY) == make_record()
    assert folder.records() == [make_record()]
    assert folder.problems == []


def test_a_cell_without_record_reads_as_none(folder):
    assert folder.read(KEY) is None
    assert folder.records() == []


def test_a_record_is_the_only_file_and_named_by_its_key(folder, make_record, tmp_path):
    folder.write(make_record())
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()] == [
        Path("results/tiny") / f"{KEY}.json"
    ]
    assert folder.cell_folder(KEY) == tmp_path / "results/tiny" / KEY


def test_a_record_names_no_folder_of_this_machine(folder, make_record, tmp_path):
    folder.write(make_record())
    assert str(tmp_path) not in folder.record_path(KEY).read_text()


def test_a_later_ok_record_replaces_an_earlier_one(folder, make_record):
    folder.write(make_record(miou=0.4))
    folder.write(make_record(miou=0.6))
    assert folder.read(KEY).scores.miou == 0.6


@pytest.mark.parametrize("status", ["failed", "skipped", "interrupted"])
def test_ok_replaces_any_other_status_and_is_replaced_by_none(folder, make_record, status):
    folder.write(make_record(status=status))
    assert folder.read(KEY).status == status
    folder.write(make_record())
    folder.write(make_record(status=status))
    assert folder.read(KEY).status == "ok"


def test_folders_of_two_machines_merge_by_copying(folder, make_record, tmp_path):
    folder.write(make_record())
    other = ResultsFolder(tmp_path / "elsewhere", "tiny")
    other.write(make_record(OTHER))
    shutil.copytree(other.path, folder.path, dirs_exist_ok=True)
    assert [record.key for record in folder.records()] == [KEY, OTHER]


def test_a_cell_that_did_not_finish_has_a_record_of_another_name_until_it_does(folder, make_record):
    folder.path.mkdir(parents=True)
    failed = make_record(status="failed")
    folder.unfinished_path(KEY).write_text(failed.model_dump_json())
    assert folder.read(KEY) == failed
    assert folder.records() == [failed]
    assert folder.existing_path(KEY) == folder.unfinished_path(KEY)
    folder.write(make_record())
    assert folder.read(KEY) == make_record()
    assert folder.records() == [make_record()]
    assert folder.existing_path(KEY) == folder.record_path(KEY)
    assert folder.problems == []


def test_a_finished_record_under_the_name_of_an_unfinished_one_is_set_aside(folder, make_record):
    folder.path.mkdir(parents=True)
    folder.unfinished_path(KEY).write_text(make_record().model_dump_json())
    assert folder.read(KEY) is None
    assert f"it is of a finished cell, whose record is called {KEY}.json" in str(folder.problems[0])


@pytest.mark.parametrize("attempt", [None, "3-00000000000000aa"])
def test_the_files_of_a_record_lie_in_its_attempt_or_for_older_versions_beside_it(folder, make_record, attempt):
    record = make_record().model_copy(update={"attempt": attempt})
    files = files_of(folder.path, record)
    assert files == folder.path / KEY / attempt if attempt else files == folder.path / KEY
    assert record_of(files) == folder.record_path(KEY)


def test_two_attempts_at_one_cell_stay_apart_when_their_folders_are_copied_together(folder, make_record, tmp_path):
    other = ResultsFolder(tmp_path / "elsewhere", "tiny")
    for place, attempt in ((folder, "1-00000000000000aa"), (other, "1-00000000000000bb")):
        record = make_record().model_copy(update={"attempt": attempt})
        place.write(record)
        files_of(place.path, record).mkdir(parents=True)
        (files_of(place.path, record) / "counts").write_text(attempt)
    shutil.copytree(other.path, folder.path, dirs_exist_ok=True)
    record = folder.read(KEY)
    assert (files_of(folder.path, record) / "counts").read_text() == record.attempt


def test_a_record_cut_short_is_set_aside_and_reported(folder, make_record):
    folder.write(make_record())
    path = folder.record_path(KEY)
    path.write_text(path.read_text()[:100])
    assert folder.read(KEY) is None
    assert not path.exists()
    assert path.with_name(f"{KEY}.json.corrupt").is_file()
    (problem,) = folder.problems
    assert problem.path == path
    assert str(problem).startswith(f"{path}: it is not JSON (")
    assert str(problem).endswith(f"; set aside as {KEY}.json.corrupt, its cell will run again")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"schema": 2}, "its schema is 2; this segbench reads 1"),
        ({"key": OTHER}, f"its key is '{OTHER}', which is not its file name"),
        ({"status": "done"}, "it is not a record: status: Input should be 'ok'"),
        ({"speed": 3}, "it is not a record: speed: Extra inputs are not permitted"),
        ({"scores": {"miou": 0.5}}, "it is not a record: scores.pixel_accuracy: Field required"),
    ],
)
def test_a_file_that_is_no_record_is_set_aside_with_the_cause(folder, make_record, change, cause):
    folder.write(make_record())
    path = folder.record_path(KEY)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert folder.records() == []
    (problem,) = folder.problems
    assert cause in problem.cause
    assert problem.moved_to == path.with_name(f"{KEY}.json.corrupt")


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[]", b"null"])
def test_any_other_content_is_set_aside_too(folder, content):
    folder.path.mkdir(parents=True)
    folder.record_path(KEY).write_bytes(content)
    assert folder.read(KEY) is None
    assert len(folder.problems) == 1


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("[" * 10**6, "it is not JSON (recursion limit exceeded"),
        ('{"spec": ' * 10**5, "it is not JSON (recursion limit exceeded"),
        ("1" * 10**5, "it is not JSON (number out of range"),
        ('{"schema": NaN}', "it is not JSON (expected value"),
        ('{"schema": "' + "x" * 10**6 + '"}', "its schema is 'xxxxxxxxxxxx...xxxxxxxxxxxxx'; this segbench reads 1"),
        (" " * (2**25 + 1), "it is not JSON (it has more than 33554432 bytes)"),
    ],
)
def test_deep_or_huge_json_is_one_bad_file_in_few_words(folder, make_record, content, cause):
    folder.write(make_record())
    folder.record_path(OTHER).write_text(content)
    assert folder.records() == [make_record()]
    (problem,) = folder.problems
    assert problem.path.name == f"{OTHER}.json"
    assert problem.cause.startswith(cause)
    assert len(problem.cause) < 200


def test_a_place_with_a_long_name_is_cut(folder, make_record):
    folder.write(make_record())
    path = folder.record_path(KEY)
    path.write_text(json.dumps({**json.loads(path.read_text()), "x" * 10**6: 1}))
    assert folder.records() == []
    assert len(folder.problems[0].cause) < 200


def test_the_redone_record_takes_the_place_of_a_corrupt_one(folder, make_record):
    folder.path.mkdir(parents=True)
    folder.record_path(KEY).write_text("{")
    folder.write(make_record(status="failed"))
    assert folder.read(KEY).status == "failed"


def test_one_corrupt_record_does_not_hide_the_others(folder, make_record):
    folder.write(make_record())
    folder.record_path(OTHER).write_text("{")
    assert folder.records() == [make_record()]


def test_a_report_written_beside_the_records_is_left_alone(folder, make_record):
    folder.write(make_record())
    report = folder.path / "report.json"
    report.write_text('{"rows": []}')
    assert folder.records() == [make_record()]
    assert report.is_file()
    assert folder.problems == []


@pytest.mark.parametrize("content", ['{"status": NaN}', "// notes", " " * (2**25 + 1)])
def test_a_file_of_another_name_that_cannot_be_read_is_somebody_elses_and_stays(folder, make_record, content):
    folder.write(make_record())
    (folder.path / "notes.json").write_text(content)
    assert folder.records() == [make_record()]
    assert (folder.path / "notes.json").read_text() == content
    assert folder.problems == []


def test_a_copy_of_a_record_under_another_name_is_set_aside(folder, make_record):
    folder.write(make_record())
    shutil.copy(folder.record_path(KEY), folder.path / "copy.json")
    assert folder.records() == [make_record()]
    assert [problem.moved_to.name for problem in folder.problems] == ["copy.json.corrupt"]


def test_check_writable_leaves_nothing_behind_and_removes_what_killed_processes_left(folder):
    for place in (folder.path, folder.lease_folder):
        place.mkdir(parents=True, exist_ok=True)
        (place / ".0123456789abcdef.tmp").write_bytes(b"half a pa")
    folder.check_writable()
    assert list(folder.lease_folder.iterdir()) == []
    folder.lease_folder.rmdir()
    assert list(folder.path.iterdir()) == []


def test_a_results_folder_below_a_file_is_refused_with_the_cure(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(RecordError) as refused:
        ResultsFolder(tmp_path / "results", "tiny").check_writable()
    assert str(tmp_path / "results/tiny") in str(refused.value)
    assert "is a file, not a folder" in str(refused.value)
    assert "--results" in str(refused.value)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nobody can make a folder")
def test_a_folder_that_cannot_be_made_is_refused():
    with pytest.raises(RecordError, match="cannot write to the results folder /proc/nothing/tiny"):
        ResultsFolder(Path("/proc/nothing"), "tiny").check_writable()


def test_a_full_disk_is_found_up_front(mount, fill_up):
    root = mount()
    fill_up(root)
    with pytest.raises(RecordError, match=r"the disk or quota is full .* free some space, or choose another folder"):
        ResultsFolder(root, "tiny").check_writable()
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["filler"]


def test_a_disk_that_fills_up_keeps_the_old_record(mount, fill_up, make_record):
    root = mount()
    folder = ResultsFolder(root, "tiny")
    folder.write(make_record(miou=0.4))
    fill_up(root)
    with pytest.raises(RecordError, match="the disk or quota is full"):
        folder.write(make_record(miou=0.6))
    assert folder.read(KEY).scores.miou == 0.4
    assert sorted(path.name for path in folder.path.iterdir()) == [f"{KEY}.json"]


def test_a_read_only_folder_is_found_up_front_and_still_read(mount, make_record):
    root = mount()
    folder = ResultsFolder(root, "tiny")
    folder.write(make_record())
    folder.record_path(OTHER).write_text("{")
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    with pytest.raises(RecordError, match=r"it is read-only here .* make it writable for this user"):
        folder.check_writable()
    assert folder.records() == [make_record()]
    (problem,) = folder.problems
    assert problem.moved_to is None
    assert str(problem).startswith(str(folder.record_path(OTHER)))


@pytest.mark.parametrize("earlier", [False, True])
def test_a_folder_in_the_place_of_a_record_is_set_aside_and_named(folder, make_record, earlier):
    path = folder.record_path(KEY)
    (path / "mine").mkdir(parents=True)
    if earlier:
        path.with_name(f"{path.name}.corrupt").write_text("of another time")
    assert folder.read(KEY) is None
    (problem,) = folder.problems
    assert str(problem).startswith(f"{path}: it is a folder, not a record; set aside as {KEY}.json.")
    assert (problem.moved_to / "mine").is_dir()
    path.mkdir()
    folder.write(make_record())
    assert folder.records() == [make_record()]


def test_a_folder_that_is_gone_or_takes_no_files_any_more_is_named(folder, mount):
    folder.path.mkdir(parents=True)
    assert folder.describe_loss() is None
    folder.path.rmdir()
    assert folder.describe_loss().startswith(f"the results folder {folder.path} was removed while this run")
    folder.path.touch()
    assert folder.describe_loss().startswith(f"the results folder {folder.path} is no folder any more")
    root = mount()
    read_only = ResultsFolder(root, "tiny")
    read_only.path.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    assert read_only.describe_loss().startswith(f"the results folder {read_only.path} cannot be written to any more")


def test_the_collector_rests_while_records_are_read_and_works_again_after_a_failure():
    with suppress(RecordError), without_collecting():
        assert not gc.isenabled()
        raise RecordError("no record")
    assert gc.isenabled()
