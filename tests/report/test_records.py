from __future__ import annotations

import json

import numpy as np
import pytest

from segbench.errors import RecordError
from segbench.report.records import NothingRecordedError, read_sources
from segbench.store.counts import Counts, write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.leases import acquire


def test_a_results_root_and_a_single_benchmarks_folder_give_the_same_records(trained, results):
    root = results(trained())
    assert read_sources([root]).records == read_sources([root / "camvid"]).records == (trained(),)
    assert read_sources([root]).folders == (root / "camvid",)


def test_a_folder_named_twice_is_read_once(trained, results):
    root = results(trained())
    assert read_sources([root, root / "camvid"]).records == (trained(),)


def test_what_lies_beside_the_records_is_not_read(trained, results):
    root = results(trained())
    (root / "report.json").write_text('{"rows": []}')
    (root / "camvid" / "report.json").write_text('{"rows": []}')
    cell = root / "camvid" / trained().key
    cell.mkdir()
    (cell / "dataset.json").write_text('{"classes": []}')
    claims = root / "camvid" / "claims"
    claims.mkdir()
    (claims / f"{trained().key}.json").write_text('{"pid": 1}')
    assert read_sources([root]).records == read_sources([root / "camvid"]).records == (trained(),)
    assert read_sources([root]).problems == ()


def test_counts_are_read_from_the_attempt_that_the_record_names(trained, results):
    record = trained().model_copy(update={"attempt": "2-0123456789abcdef"})
    root = results(record)
    (folder,) = read_sources([root]).cell_folders.values()
    assert folder == root / "camvid" / record.key / "2-0123456789abcdef"


def test_health_that_an_earlier_version_judged_is_judged_by_the_rules_of_today(adversarial, results):
    earlier = adversarial()
    numbers = {**earlier.health.numbers, "ratio": 0.02}
    health = earlier.health.model_copy(update={"numbers": numbers})
    (found,) = read_sources([results(adversarial(fields={"health": health}))]).records
    assert (health.verdict, found.health.verdict) == ("healthy", "inert")
    assert found.health.numbers == numbers


def test_a_folder_in_the_place_of_a_record_is_named(trained, results):
    root = results(trained())
    (root / "camvid" / f"{'0' * 16}.json").mkdir()
    (root / "camvid" / "notes.json").mkdir()
    (problem,) = read_sources([root]).problems
    assert str(problem) == f"{root}/camvid/{'0' * 16}.json: it is a folder, not a file"


def test_folders_of_several_machines_are_merged(trained, results):
    one = results(trained("unet", 0), root="one")
    other = results(trained("unet", 0), trained("unet", 1), root="other")
    assert [record.seed for record in read_sources([one, other]).records] == [0, 1]


def test_counts_are_those_beside_the_record_that_was_kept(trained, results):
    roots = [results(trained(), root="one"), results(trained(), root="other")]
    for root, image in zip(roots, ["first", "second"], strict=True):
        write_counts(root / "camvid" / trained().key, Counts((image,), "test", np.array([[[1, 2], [3, 4]]])))
    assert read_sources(roots).counts(trained()).ids == ("first",)


@pytest.mark.parametrize("status", ["failed", "skipped", "interrupted"])
@pytest.mark.parametrize("ok_comes_first", [True, False])
def test_ok_wins_over_any_other_status_of_the_same_cell(trained, failed, results, status, ok_comes_first):
    done = results(trained(), root="done")
    lost = results(failed(status=status), root="lost")
    order = [done, lost] if ok_comes_first else [lost, done]
    assert read_sources(order).records == (trained(),)


def test_the_timed_record_of_a_cell_wins_over_the_untimed(trained, results):
    untimed = trained(fields={"inference": []})
    order = [results(untimed, root="untimed"), results(trained(), root="timed")]
    assert read_sources(order).records == (trained(),)


def test_one_cell_on_two_devices_keeps_both_records(trained, results):
    slow = trained(environment={"device": "cpu", "device_name": "Xeon", "threads": 2})
    order = [results(trained(), root="fast"), results(slow, root="slow")]
    assert len(read_sources(order).records) == 2


def test_a_corrupt_record_is_reported_and_not_touched(trained, results):
    root = results(trained())
    corrupt = root / "camvid" / "0123456789abcdef.json"
    corrupt.write_text("{")
    sources = read_sources([root])
    assert sources.records == (trained(),)
    assert [problem.path for problem in sources.problems] == [corrupt]
    assert corrupt.is_file()


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        (
            {"spec": {"method": {"labels": True}}},
            "it is not a record: spec.method.labels: Input should be a valid list",
        ),
        ({"environment": {"threads": {"a\n": 1}}}, "it is not a record: environment.threads: Input should be"),
        (
            {"evaluated": {"split": "test", "images": 9, "classes": ["a"]}},
            "its classes and their scores differ in number",
        ),
    ],
)
def test_a_record_that_no_run_has_written_is_one_line_of_what_was_not_read(trained, results, fields, cause):
    root = results(trained(), trained(seed=1))
    path = root / "camvid" / f"{trained(seed=1).key}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    found = read_sources([root])
    assert found.records == (trained(),)
    (problem,) = map(str, found.problems)
    assert problem.startswith(f"{path}: {cause}")
    assert problem.isprintable()


def test_a_missing_folder_says_what_to_run(tmp_path):
    with pytest.raises(RecordError, match=r"no results folder at .*nowhere; run a benchmark first"):
        read_sources([tmp_path / "nowhere"])


def test_a_file_and_a_name_that_is_nearly_right_are_told(trained, results):
    root = results(trained())
    with pytest.raises(RecordError, match=r"is a file; name the results folder that it lies in$"):
        read_sources([next(root.glob("*/*.json"))])
    with pytest.raises(RecordError, match=r"no results folder at .*/camvdi; .* wrote to\. Did you mean 'camvid'\?$"):
        read_sources([root / "camvdi"])


def test_a_folder_without_records_says_where_was_looked(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match=r"no records found \(looked for .*/\*\.json and .*`segbench run quickstart`"):
        read_sources([tmp_path])


def test_a_folder_of_corrupt_records_only_names_them(tmp_path):
    (tmp_path / "0123456789abcdef.json").write_text("{")
    with pytest.raises(RecordError, match=r"no records found .*\n  not read: .*0123456789abcdef\.json: it is not JSON"):
        read_sources([tmp_path])


def test_where_a_run_has_begun_the_error_says_how_to_follow_it(tmp_path):
    (tmp_path / "camvid").mkdir()
    (tmp_path / "camvid" / ".run").write_text("{}")
    with pytest.raises(NothingRecordedError, match=r"a run has begun .*`segbench watch .*/camvid` follows it") as error:
        read_sources([tmp_path])
    assert error.value.sources.folders == (tmp_path / "camvid",)


def test_an_unknown_benchmark_lists_those_there_and_the_nearest(trained, results):
    root = results(trained(), trained(benchmark="quickstart"))
    with pytest.raises(RecordError) as refused:
        read_sources([root], "quickstrat")
    assert "Did you mean 'quickstart'? Available: camvid, quickstart." in str(refused.value)


def test_a_benchmark_is_picked_out(trained, results):
    root = results(trained(), trained(benchmark="quickstart"))
    sources = read_sources([root], "quickstart")
    assert [record.benchmark for record in sources.records] == ["quickstart"]
    assert sources.folders == (root / "quickstart",)


def test_a_benchmark_named_like_the_claims_folder_is_read_as_any_other(trained, tmp_path):
    folder = ResultsFolder(tmp_path, "claims")
    folder.write(trained(benchmark="claims"))
    acquire(folder, "0123456789abcdef")
    for named in (tmp_path, folder.path):
        assert len(read_sources([named]).records) == 1
        assert read_sources([named]).folders == (folder.path,)
