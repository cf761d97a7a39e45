from __future__ import annotations

import pytest

from segbench.errors import SpecError
from segbench.spec.packaged import find_benchmark, packaged_benchmarks


def test_packaged_benchmarks_are_found_by_name():
    assert {"quickstart", "camvid", "shapes-smoke"} <= set(packaged_benchmarks())
    for name in packaged_benchmarks():
        assert find_benchmark(name).is_file()


def test_a_packaged_benchmark_asks_its_question_in_a_comment_on_top():
    for name in packaged_benchmarks():
        first = find_benchmark(name).read_text().splitlines()[0]
        assert first.startswith("# ")
        assert "?" in first


def test_an_unknown_name_lists_the_packaged_ones_and_the_nearest():
    with pytest.raises(SpecError) as caught:
        find_benchmark("quikstart")
    assert "there is no packaged benchmark 'quikstart'; packaged are " in str(caught.value)
    assert "Did you mean 'quickstart'?" in str(caught.value)


def test_files_are_found_by_path(tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.touch()
    assert find_benchmark(str(path)) == path
    monkeypatch.chdir(tmp_path)
    assert find_benchmark("mine.yaml").is_file()
    assert find_benchmark("./mine.yaml").is_file()


def test_a_file_of_that_name_is_hinted_at(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"If you mean the file mine.yaml, write it with its ending"):
        find_benchmark("mine")


def test_a_file_may_have_any_ending(tmp_path, monkeypatch):
    (tmp_path / "mine").touch()
    monkeypatch.chdir(tmp_path)
    assert find_benchmark("mine").is_file()


def test_a_packaged_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "quickstart").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_benchmark("quickstart").name == "quickstart.yaml"


def test_a_path_that_does_not_exist_says_so(tmp_path):
    (tmp_path / "other.yaml").touch()
    with pytest.raises(SpecError, match=r"there is no benchmark file .*mine.yaml; in .* there are other.yaml"):
        find_benchmark(str(tmp_path / "mine.yaml"))
    with pytest.raises(SpecError, match=r"there is no benchmark file .*; there is no folder"):
        find_benchmark(str(tmp_path / "no" / "mine.yaml"))


def test_a_folder_is_no_benchmark(tmp_path):
    with pytest.raises(SpecError, match=r"is a folder, not a benchmark file; in .* there is no .yaml file"):
        find_benchmark(f"{tmp_path}/")
