from __future__ import annotations

from pathlib import Path

import pytest

from segbench.errors import RecordError
from segbench.report.records import identity, read_sources
from segbench.report.selection import (
    Selector,
    find_one_record,
    is_selector,
    keep_folders,
    name_recipe,
    parse_selector,
    restrict,
    select,
)


def begun(day):
    return {"device": "cpu", "device_name": "AMD", "threads": 2, "started": f"2026-11-{day}T08:00:00+00:00"}


@pytest.fixture
def old(trained):
    return [trained("unet", seed, environment=begun(20)) for seed in (0, 1)]


@pytest.fixture
def new(trained):
    return [trained("unet", seed, options={"encoder": "resnet34"}, environment=begun(21)) for seed in (0, 1)]


@pytest.fixture
def folder(old, new, trained, results):
    """Two recipes of unet, two seeds each, and fpn; the newer recipe also in a folder of its own."""
    results(*new, root="apart")
    return results(*old, *new, trained("fpn", environment=begun(19)))


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("unet", Selector("unet")),
        ("unet@3f2a", Selector("unet", "3f2a")),
        ("unet+critic~frozen@latest", Selector("unet+critic~frozen", "latest")),
        ("unet=../old runs", Selector("unet", None, Path("../old runs"))),
        ("unet@3f=a@b=c", Selector("unet", "3f", Path("a@b=c"))),
        ("unet@0.3", Selector("unet@0.3")),
        ("unet@1.0~frozen@latest", Selector("unet@1.0~frozen", "latest")),
        ("unet@1e-05@3f2a=runs", Selector("unet@1e-05", "3f2a", Path("runs"))),
        ("unet@12345678", Selector("unet", "12345678")),
        ("unet@1e05", Selector("unet", "1e05")),
    ],
)
def test_a_selector_is_a_method_with_a_key_a_folder_or_both(text, selector):
    assert parse_selector(text) == selector


@pytest.mark.parametrize("text", ["@latest", "unet@", "unet=", "=dir", ""])
def test_anything_else_is_refused_with_the_forms_there_are(text):
    with pytest.raises(RecordError, match=r"is no selector; write NAME, NAME@KEY, NAME@latest or NAME=DIR"):
        parse_selector(text)


def test_the_path_of_something_that_exists_is_no_selector(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results@home").mkdir()
    assert [is_selector(text) for text in ("results@home", "unet@home", "unet=results", "unet")] == [
        False,
        True,
        True,
        False,
    ]


def test_a_key_means_its_recipe_with_all_seeds_and_latest_the_one_begun_last(folder, old, new):
    sources = read_sources([folder])
    assert select(sources, Selector("unet", old[1].key[:6])) == {identity(record) for record in old}
    assert select(sources, Selector("unet", "latest")) == {identity(record) for record in new}
    assert select(sources, Selector("unet")) == {identity(record) for record in (*old, *new)}


def test_a_folder_means_what_is_recorded_in_it(folder, new):
    apart = folder.with_name("apart")
    assert select(read_sources([apart, folder]), Selector("unet", None, apart)) == {identity(one) for one in new}


def test_only_the_method_of_a_selector_is_restricted(folder, failed, results, old):
    results(failed("unet", 2))
    kept = restrict(read_sources([folder]), [Selector("unet", old[0].key)])
    assert sorted((one.method, one.seed, one.status) for one in kept.records) == [
        ("fpn", 0, "ok"),
        ("unet", 0, "ok"),
        ("unet", 1, "ok"),
        ("unet", 2, "failed"),
    ]


def test_what_is_not_there_is_named_with_what_is(folder):
    sources = read_sources([folder])
    with pytest.raises(RecordError, match=r"no finished cell of a method 'unett'\. Did you mean 'unet'\? Available: "):
        select(sources, Selector("unett", "latest"))
    with pytest.raises(
        RecordError, match=r"no key of 'fpn' begins with 'x'; there are fpn@\w{8} \(camvid / camvid / s"
    ):
        select(sources, Selector("fpn", "x"))
    with pytest.raises(RecordError, match=r"no finished cell of 'fpn' in .*apart"):
        select(sources, Selector("fpn", None, folder.with_name("apart")))


def test_a_beginning_of_several_keys_is_refused_with_these(trained, results):
    one, other = (
        trained("unet", options={"encoder": name}, fields={"key": f"3f2a{digit * 12}"}) for name, digit in ("a1", "b2")
    )
    sources = read_sources([results(one, other)])
    with pytest.raises(RecordError, match=rf"unet@3f2a may be each of unet@{one.key}, unet@{other.key}; write more"):
        select(sources, Selector("unet", "3f2a"))


def test_one_cell_is_found_by_its_key_as_the_latest_or_as_the_only_one(folder, old, new, results, trained):
    def found(text):
        return find_one_record(text, folder)

    assert found(f"unet@{old[1].key[:6]}") == folder / "camvid" / f"{old[1].key}.json"
    assert found("unet@latest").stem in {record.key for record in new}
    alone = results(trained("fpn", 5, environment=begun(22)), root="alone")
    assert found(f"fpn={alone}").parent.parent == alone
    with pytest.raises(RecordError, match=rf"'unet=.*' means 2 of these cells: .*{name_recipe(new[1])} .*seed 1"):
        found(f"unet={folder.with_name('apart')}")
    with pytest.raises(RecordError, match=r"'unet@x' means none of these cells: unet@"):
        found("unet@x")


def test_a_method_and_a_seed_mean_one_cell_of_a_recipe(folder, old, new):
    apart = folder.with_name("apart")
    assert find_one_record("unet", apart, 1).stem == new[1].key
    assert find_one_record(f"unet@{old[0].key[:6]}", folder, 1).stem == old[1].key
    assert find_one_record("unet@latest", folder, 0).stem == new[0].key
    with pytest.raises(RecordError, match=r"'unet' with seed 1 means 2 of these cells: unet@"):
        find_one_record("unet", folder, 1)
    with pytest.raises(RecordError, match=r"'unet' with seed 7 means none of these cells: .*seed 0.*seed 1"):
        find_one_record("unet", apart, 7)


def test_of_a_recipe_that_ran_on_two_machines_only_the_named_folder_is_kept(trained, results):
    other = {"device": "cpu", "device_name": "Xeon", "threads": 4}
    here = results(trained("unet", environment=begun(20)), trained("fpn", environment=begun(20)), root="here")
    there = results(trained("unet", environment=other), root="there")
    sources = read_sources([here, there])
    kept = keep_folders(sources, [Selector("unet", None, there)]).records
    assert [(record.method, record.environment["device_name"]) for record in kept] == [("fpn", "AMD"), ("unet", "Xeon")]
    assert keep_folders(sources, []) is sources
