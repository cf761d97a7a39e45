from __future__ import annotations

import json

import pytest

from segbench.cli import main
from segbench.store.json_file import sealed_json
from segbench.store.judgements import plan_paths, read_plan

from ..report.conftest import counted, results, trained  # noqa: F401, TID252 - fixtures; tests have no absolute name
from ..report.judging.conftest import by_order, kept, vote  # noqa: F401, TID252 - fixtures; tests have no absolute name

PAGE = ["judge", "--methods", "good,fair,poor"]


def make(root, tmp_path, *options):
    return main([*PAGE, str(root), "-o", str(tmp_path / "judge.html"), *options])


def test_a_page_is_made_voted_on_and_its_votes_are_imported(kept, tmp_path, capsys):  # noqa: F811
    root = kept()
    assert make(root, tmp_path, "--images", "4") == 0
    told = capsys.readouterr().out
    assert "16 questions on 4 of the 6 images that all methods kept: 12 pairs, 2 of them again" in told
    (path,) = plan_paths(root / "camvid")
    plan = read_plan(path)
    for number, voter in enumerate(("0" * 16, "0000000700000001")):
        ballot = vote(plan, by_order("good", "fair", "poor"), voter)
        (tmp_path / f"votes{number}.json").write_bytes(sealed_json(ballot.model_dump(mode="json")))
    assert main(["judge", "--import", *(str(tmp_path / f"votes{number}.json") for number in (0, 1)), str(root)]) == 0
    table = capsys.readouterr().out
    assert "camvid / camvid: what people prefer" in table
    assert "2 of 2 voters used" in table
    assert main(["judge", "--import", str(tmp_path / "votes0.json"), str(root), "--json"]) == 0
    imported = json.loads(capsys.readouterr().out)
    assert (imported["schema"], imported["people"][0]["benchmark"], imported["problems"]) == (1, "camvid", [])
    assert main(["report", str(root), "--format", "json"]) == 0
    (people,) = json.loads(capsys.readouterr().out)["people"]
    assert [one["wins"] for one in people["methods"]][2] == 0


def test_images_that_may_not_be_passed_on_need_a_word(kept, tmp_path, capsys):  # noqa: F811
    root = kept(redistributable=False)
    assert make(root, tmp_path) == 2
    assert "may not be passed on" in capsys.readouterr().err
    assert not (tmp_path / "judge.html").exists()
    assert make(root, tmp_path, "--private") == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--methods", "good", "-o", "x.html"], "write two to 50 methods"),
        (["--methods", "good,good", "-o", "x.html"], "each once"),
        (["--methods", "good,poor"], "-o judge.html"),
        (["--methods", "good,best", "-o", "x.html"], "no record of a method 'best'"),
        (["--import", "gone.json"], "cannot read gone.json: No such file or directory"),
    ],
)
def test_mistakes_are_one_message(kept, tmp_path, monkeypatch, capsys, options, said):  # noqa: F811
    root = kept()
    monkeypatch.chdir(tmp_path)
    assert main(["judge", str(root), *options]) == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
