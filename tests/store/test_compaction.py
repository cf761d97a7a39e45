from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from segbench.contract import Dataset
from segbench.errors import RecordError
from segbench.store import compaction
from segbench.store.compaction import compact
from segbench.store.counts import CALIBRATION_BINS, Counts, has_counts, read_confusions, read_counts, write_counts
from segbench.store.description import DATASET, description_of, read_description
from segbench.store.folder import ResultsFolder, files_of, is_recorded, read_bytes, record_files
from segbench.store.json_file import sealed_json
from segbench.store.leases import acquire
from segbench.store.lock import lock
from segbench.store.publication import publish
from segbench.store.removal import remove_cell, size_of_cell
from segbench.store.segments import COUNTED, MANIFEST, RECORDS, SEGMENTS, packed_files, packed_keys, unpack

KEYS = [f"{number:016x}" for number in range(5)]


def make_counts(seed: int, images: int = 3, **others) -> Counts:
    generator = np.random.default_rng(seed)
    ids = tuple(f"image {number}" for number in range(images))
    return Counts(ids, "test", generator.integers(0, 1000, (images, 2, 2)), **others)


def add_cell(folder, make_record, key, attempt=None, counts=None, **changes):
    """Write the record of a cell as a run does, with its counts and the description of its data."""
    record = make_record(key).model_copy(update={"attempt": attempt, **changes})
    files = files_of(folder.path, record)
    write_counts(files, counts or make_counts(int(key, 16)))
    description = description_of(Dataset(["a", "b"], [(0, 0, 0), (1, 1, 1)], {}, 255))
    (files / DATASET).write_bytes(sealed_json(description.model_dump()))
    folder.write(record)
    return record


@pytest.fixture
def folder(tmp_path, make_record):
    """Five finished cells, the last with an attempt, and one that failed."""
    folder = ResultsFolder(tmp_path, "tiny")
    for key in KEYS[:4]:
        add_cell(folder, make_record, key)
    add_cell(folder, make_record, KEYS[4], "1-0123456789abcdef")
    failed = make_record("f" * 16, status="failed")
    folder.unfinished_path("f" * 16).write_text(failed.model_dump_json())
    return folder


def loose_files(folder):
    """Return all files but segments and locks, by their path, with their content."""
    files = (path for path in folder.path.rglob("*") if path.is_file())
    kept = (path for path in files if path.parent.name not in (SEGMENTS, "claims"))
    return {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in kept}


def test_records_counts_and_descriptions_come_back_as_they_were(folder):
    records, before = folder.records(), loose_files(folder)
    counts = {record.key: read_counts(files_of(folder.path, record)) for record in records if record.status == "ok"}
    done = compact(folder)
    assert (done.packed, done.added, done.left) == (5, 5, ())
    assert set(loose_files(folder)) == {f"{'f' * 16}.unfinished.json"}
    assert folder.records() == records
    for record in records[:5]:
        files, path = files_of(folder.path, record), folder.record_path(record.key)
        assert read_bytes(path) == before[path.name]
        assert np.array_equal(read_counts(files).confusion, counts[record.key].confusion)
        assert read_counts(files).ids == counts[record.key].ids
        assert read_description(files / DATASET).classes == ("a", "b")
    assert not folder.problems


def test_counts_of_several_forms_share_a_segment(folder, make_record):
    several = {
        "a" * 16: make_counts(7, 2, sizes=np.array([[40, 50]] * 2), void=None, clusters=("x", "y")),
        "b" * 16: Counts(("one",), "val", np.ones((1, 3, 3), np.int64), surface=np.full((1, 3, 2), np.nan)),
        "c" * 16: make_counts(9, 4, calibration=np.zeros((4, CALIBRATION_BINS, 3)), boundary=np.ones((4, 2, 7), int)),
    }
    several["c" * 16] = replace(several["c" * 16], confusion=np.zeros((4, 2, 2), np.int64))
    for key, counts in several.items():
        add_cell(folder, make_record, key, counts=counts)
    compact(folder)
    for key, counts in several.items():
        found = read_counts(folder.cell_folder(key))
        assert (found.ids, found.split, found.clusters) == (counts.ids, counts.split, counts.clusters)
        for name in ("confusion", "sizes", "void", "boundary", "calibration", "surface", "band"):
            one, other = getattr(found, name), getattr(counts, name)
            assert (one is None) == (other is None)
            assert one is None or np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def test_what_rankings_need_is_read_of_packed_and_loose_cells_together(folder, make_record):
    compact(folder)
    add_cell(folder, make_record, "a" * 16)
    folders = [files_of(folder.path, record) for record in folder.records() if record.status == "ok"]
    found = list(read_confusions([*folders, folder.cell_folder("e" * 16)]))
    assert [np.array_equal(a.confusion, read_counts(b).confusion) for a, b in zip(found, folders, strict=False)] == [
        True
    ] * 6
    assert isinstance(found[-1], RecordError)
    assert [has_counts(path) for path in folders] == [True] * 6


def test_a_cell_without_counts_is_packed_too(tmp_path, make_record):
    folder = ResultsFolder(tmp_path, "tiny")
    folder.write(make_record())
    compact(folder)
    (key,) = packed_keys(folder.path)
    assert not has_counts(folder.cell_folder(key))
    assert folder.read(key) == make_record()


def test_cells_that_cannot_be_used_as_they_are_stay_loose(folder, flip_bit):
    flip_bit(folder.cell_folder(KEYS[0]) / "counts.parquet", 3)
    elsewhere = folder.root / "elsewhere"
    folder.cell_folder(KEYS[1]).rename(elsewhere)
    folder.cell_folder(KEYS[1]).symlink_to(elsewhere)
    before = loose_files(folder)
    done = compact(folder)
    assert sorted(problem.path.stem for problem in done.left) == KEYS[:2]
    assert (done.packed, done.added) == (3, 3)
    assert {name: before[name] for name in loose_files(folder)} == loose_files(folder)
    assert (elsewhere / "counts.parquet").is_file()


def test_later_cells_join_those_of_a_small_segment(folder, make_record):
    compact(folder)
    add_cell(folder, make_record, "a" * 16)
    assert compact(folder).added == 1
    assert len(list((folder.path / SEGMENTS).glob("*.records.parquet"))) == 1
    assert sorted(packed_keys(folder.path)) == [*KEYS, "a" * 16]
    before = sorted(path.name for path in (folder.path / SEGMENTS).iterdir())
    assert compact(folder).added == 0
    assert sorted(path.name for path in (folder.path / SEGMENTS).iterdir()) == before


def test_full_segments_stay_as_they_are(folder, monkeypatch):
    monkeypatch.setattr(compaction, "MOST_CELLS", 2)
    assert compact(folder).packed == 5
    assert len(list((folder.path / SEGMENTS).glob("*.records.parquet"))) == 3
    assert [record.key for record in folder.records()] == [*KEYS, "f" * 16]


def test_a_packed_cell_is_removed_alone(folder):
    compact(folder)
    assert size_of_cell(folder, KEYS[1]) > 0
    assert remove_cell(folder, KEYS[1])
    assert folder.read(KEYS[1]) is None
    assert not is_recorded(folder.record_path(KEYS[1]))
    assert [record.key for record in folder.records()] == [KEYS[0], *KEYS[2:], "f" * 16]
    compact(folder)
    assert KEYS[1] not in packed_keys(folder.path)


def test_a_segment_of_which_every_cell_is_removed_goes(folder):
    compact(folder)
    for key in KEYS:
        assert remove_cell(folder, key)
    assert not folder.records()[:-1]
    assert compact(folder).packed == 0
    assert [path.name for path in (folder.path / SEGMENTS).iterdir()] == [MANIFEST]


def test_a_record_that_is_completed_is_loose_again(folder):
    compact(folder)
    record = folder.read(KEYS[4])
    folder.write(record.model_copy(update={"provenance": {"tag": "timed"}}))
    assert folder.read(KEYS[4]).provenance == {"tag": "timed"}
    assert KEYS[4] not in packed_keys(folder.path)
    assert read_counts(files_of(folder.path, record)).ids == make_counts(4).ids
    assert compact(folder).added == 1
    assert folder.read(KEYS[4]).provenance == {"tag": "timed"}


def test_a_cell_with_a_damaged_file_is_set_aside_with_its_counts(folder):
    (folder.cell_folder(KEYS[0]) / "model.safetensors").write_bytes(sealed_json({"a": 1})[:-1] + b" ")
    record = folder.read(KEYS[0])
    compact(folder)
    assert folder.set_aside_if_damaged(record)
    assert folder.read(KEYS[0]) is None
    assert folder.record_path(KEYS[0]).with_name(f"{KEYS[0]}.json.corrupt").is_file()


def test_a_record_that_was_published_first_counts_though_it_is_packed_meanwhile(folder, make_record, monkeypatch):
    """The second publisher looks, sees nothing, and creates its record where the first one's lay until this moment."""
    key = "a" * 16
    (folder.path / key / "1-0123456789abcdef").mkdir(parents=True)
    lease = acquire(folder, key)
    (folder.cell_folder(key) / lease.attempt).mkdir()
    first, looks = make_record(key), []

    def read_first(self, wanted):
        looks.append(wanted)
        if len(looks) == 1:
            self.write(first)
            compact(self)
            return None
        return original(self, wanted)

    original = ResultsFolder.read
    folder.write(first)
    compact(folder)
    unpack(folder.record_path(key))
    folder.record_path(key).unlink()
    monkeypatch.setattr(ResultsFolder, "read_finished", lambda self, key: _finished(read_first(self, key)))
    found = publish(folder, lease, make_record(key, miou=0.9))
    assert found == first
    assert not folder.record_path(key).exists()
    assert original(folder, key) == first


def _finished(record):
    return record if record is not None and record.status == "ok" else None


def test_another_loose_record_of_a_packed_cell_neither_counts_nor_is_lost(folder, make_record):
    first = folder.read(KEYS[0])
    compact(folder)
    later = make_record(KEYS[0], miou=0.9)
    folder.record_path(KEYS[0]).write_text(later.model_dump_json())
    assert folder.read(KEYS[0]) == first
    assert [record.key for record in folder.records()] == [*KEYS, "f" * 16]
    add_cell(folder, make_record, "a" * 16)  # with which the segment is replaced
    done = compact(folder)
    assert [problem.path.stem for problem in done.left] == [KEYS[0]]
    assert (done.added, folder.read(KEYS[0])) == (1, first)
    assert folder.record_path(KEYS[0]).read_text() == later.model_dump_json()


def test_a_record_that_changes_while_it_is_packed_stays_loose(folder, monkeypatch):
    write = compaction._write_segment

    def complete_then_write(place, cells):
        record = folder.read(KEYS[0])
        folder.write(record.model_copy(update={"provenance": {"tag": "timed"}}))
        folder.record_path(KEYS[1]).unlink()
        return write(place, cells)

    monkeypatch.setattr(compaction, "_write_segment", complete_then_write)
    assert compact(folder).packed == 3
    assert folder.read(KEYS[0]).provenance == {"tag": "timed"}
    assert folder.read(KEYS[1]) is None


def test_a_record_that_is_written_after_the_last_look_at_it_is_not_lost(folder, monkeypatch):
    later = folder.read(KEYS[0]).model_copy(update={"provenance": {"tag": "later"}})
    writer = threading.Thread(target=ResultsFolder(folder.root, "tiny").write, args=(later,))
    look = compaction._is_as_read

    def look_and_begin_to_write(folder, segments, cell):
        found = look(folder, segments, cell)
        if cell.key == KEYS[0]:
            writer.start()
        return found

    monkeypatch.setattr(compaction, "_is_as_read", look_and_begin_to_write)
    compact(folder)
    writer.join()
    assert folder.read(KEYS[0]) == later


def change_a_byte(path):
    content = bytearray(path.read_bytes())
    content[8] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("ruin", "cause"), [(lambda path: path.unlink(), "was removed by others"), (change_a_byte, "has changed since")]
)
@pytest.mark.parametrize("ending", [RECORDS, COUNTED])
def test_no_file_is_removed_for_a_segment_that_is_not_there_as_it_was_written(folder, monkeypatch, ruin, cause, ending):
    before, write = loose_files(folder), compaction._write_segment

    def write_and_ruin(place, cells):
        name = write(place, cells)
        ruin(*place.glob(f"*{ending}"))
        return name

    monkeypatch.setattr(compaction, "_write_segment", write_and_ruin)
    with pytest.raises(RecordError, match=cause):
        compact(folder)
    assert loose_files(folder) == before
    assert not packed_keys(folder.path)


# Compacts each of the folders given in a process of its own, forked before Arrow has threads, which kills itself at a
# call of the functions that change files, by the number behind the folder: one after the other, or all at once with -1.
CHILDREN = """
import os, signal, sys
from pathlib import Path
from segbench.store import compaction
from segbench.store.folder import ResultsFolder

def count(name, step, calls=[]):
    function = getattr(compaction, name)
    def call(*given):
        calls.append(name)
        if len(calls) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given)
    setattr(compaction, name, call)

children = []
for root, step in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    if (child := os.fork()) == 0:
        for name in ("write_atomically", "write_manifest", "_remove"):
            count(name, step)
        compaction.compact(ResultsFolder(Path(root), "tiny"))
        os._exit(0)
    children.append(child)
    if step > 0:
        print(os.waitstatus_to_exitcode(os.waitpid(children.pop(), 0)[1]))
for child in children:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run_children(*given):
    """Return the exit codes of compactions in processes of their own."""
    command = [sys.executable, "-c", CHILDREN, *map(str, given)]
    return [int(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def test_a_compaction_that_is_killed_loses_and_doubles_nothing(folder, make_record, tmp_path):
    compact(folder)
    remove_cell(folder, KEYS[0])
    add_cell(folder, make_record, "a" * 16)  # so that a segment is replaced as well
    records, steps = folder.records(), range(1, 10)
    roots = [tmp_path / f"killed at {step}" for step in steps]
    for root in roots:
        shutil.copytree(folder.root, root, ignore=shutil.ignore_patterns("killed*"))
    ends = run_children(*(word for pair in zip(roots, steps, strict=True) for word in pair))
    assert ends[:6] == [-signal.SIGKILL] * 6
    for root in roots:
        after = ResultsFolder(root, "tiny")
        assert after.records() == records
        assert not after.problems
        assert all(read_counts(files_of(after.path, one)).ids for one in records if one.status == "ok")
        assert compact(after).packed == 5
        assert after.records() == records
        assert set(loose_files(after)) == {f"{'f' * 16}.unfinished.json"}
        assert len(list((after.path / SEGMENTS).iterdir())) == 3


def test_three_compactions_at_once_leave_each_cell_once(folder):
    records = folder.records()
    assert run_children(*[folder.root, -1] * 3) == [0, 0, 0]
    assert ResultsFolder(folder.root, "tiny").records() == records
    assert sorted(packed_keys(folder.path)) == KEYS
    assert len(list((folder.path / SEGMENTS).iterdir())) == 3


def test_a_compaction_waits_for_another_one(folder, monkeypatch):
    order, asked = [], threading.Event()

    def note(descriptor):
        asked.set()
        lock(descriptor)
        order.append("the second one has the lock")

    monkeypatch.setattr(compaction, "lock", note)
    folder.lease_folder.mkdir(exist_ok=True)
    waiting = threading.Thread(target=compact, args=(folder,), daemon=True)
    with (folder.lease_folder / ".compaction").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting.start()
        assert asked.wait(300)
        order.append("the first one ends")
    waiting.join()
    assert order == ["the first one ends", "the second one has the lock"]
    assert sorted(packed_keys(folder.path)) == KEYS


def test_without_locks_nothing_is_compacted(folder, monkeypatch):
    before = loose_files(folder)

    def refuse(descriptor):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(compaction, "lock", refuse)
    with pytest.raises(RecordError, match="without locks"):
        compact(folder)
    assert loose_files(folder) == before


def test_a_segment_that_has_changed_is_named_and_nothing_of_it_read(folder, flip_bit):
    compact(folder)
    (damaged,) = (folder.path / SEGMENTS).glob("*.records.parquet")
    content = damaged.read_bytes()
    flip_bit(damaged, 1)
    copy = folder.root.parent / "copy" / "tiny"
    shutil.copytree(folder.path, copy)
    with pytest.raises(RecordError, match=f"{damaged.name}.*has changed"):
        record_files(copy)
    (copy / SEGMENTS / damaged.name).write_bytes(content)
    assert len(record_files(copy)) == 6


@pytest.mark.parametrize("cause", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_segments_that_cannot_be_looked_for_are_not_taken_for_missing(folder, monkeypatch, cause):
    compact(folder)
    stat = os.stat

    def fail(path, **options):
        if str(path).endswith(MANIFEST):
            raise OSError(cause, os.strerror(cause))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", fail)
    with pytest.raises(RecordError, match=rf"cannot read {folder.path}/{SEGMENTS}/{MANIFEST}: "):
        folder.read(KEYS[0])


def test_changed_counts_of_a_segment_stop_a_run_and_are_no_counts_in_a_report(folder, flip_bit, tmp_path):
    compact(folder)
    shutil.copytree(folder.path, tmp_path / "copy" / "tiny")
    copy = ResultsFolder(tmp_path / "copy", "tiny")
    (damaged,) = (copy.path / SEGMENTS).glob("*.counts.parquet")
    flip_bit(damaged, 1)
    with pytest.raises(RecordError, match="has changed"):
        copy.set_aside_if_damaged(copy.read(KEYS[0]), "counts.parquet")
    (found,) = read_confusions([copy.cell_folder(KEYS[0])])
    assert isinstance(found, RecordError)


def test_cells_of_a_folder_that_another_was_copied_over_are_taken_up_again(folder, make_record, tmp_path):
    other = ResultsFolder(tmp_path / "other", "tiny")
    add_cell(other, make_record, "a" * 16)
    compact(folder)
    compact(other)
    shutil.copytree(other.path, folder.path, dirs_exist_ok=True)
    compact(folder)
    assert sorted(packed_keys(folder.path)) == [*KEYS, "a" * 16]


def test_the_files_of_a_packed_cell_are_those_that_were_loose(folder):
    before = loose_files(folder)
    compact(folder)
    found = packed_files(folder.record_path(KEYS[4]))
    names = [path.relative_to(folder.path).as_posix() for path in found]
    assert names == [
        f"{KEYS[4]}/1-0123456789abcdef/counts.parquet",
        f"{KEYS[4]}/1-0123456789abcdef/dataset.json",
        f"{KEYS[4]}.json",
    ]
    assert [found[folder.path / name] == before[name] for name in names[1:]] == [True, True]


def test_a_manifest_names_no_file_elsewhere(folder):
    compact(folder)
    place = folder.path / SEGMENTS
    (place / MANIFEST).write_bytes(sealed_json({"version": 1, "segments": {"../../elsewhere": []}}))
    with pytest.raises(RecordError, match="manifest"):
        folder.records()


def test_keys_in_a_segment_lead_nowhere_else(folder, tmp_path):
    compact(folder)
    (path,) = (folder.path / SEGMENTS).glob("*.records.parquet")
    table = parquet.read_table(path)
    keys = pa.array(["../../elsewhere0", *table["key"].to_pylist()[1:]])
    changed = tmp_path / "changed.parquet"
    parquet.write_table(table.set_column(0, table.schema.field("key"), keys), changed)
    name = hashlib.sha256(changed.read_bytes()).hexdigest()[:16]
    changed.rename(path.with_name(f"{name}.records.parquet"))
    (folder.path / SEGMENTS / MANIFEST).write_bytes(sealed_json({"version": 1, "segments": {name: []}}))
    with pytest.raises(RecordError, match="what is no key"):
        folder.records()
