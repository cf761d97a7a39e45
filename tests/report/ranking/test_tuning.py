from __future__ import annotations

import pytest

from segbench.report import load
from segbench.report.ranking.tuning import find_tunings
from segbench.store.record import FromUpstream, Trial

TRIALS = [
    Trial(key="a" * 16, settings={"adversarial.weight": 0.1}, miou=0.5),
    Trial(key="b" * 16, settings={"adversarial.weight": 0.01}, miou=0.6),
    Trial(key="c" * 16, settings={"adversarial.weight": 0.001}, miou=None),
]
TUNED = FromUpstream(trials=TRIALS, winner="b" * 16)


@pytest.fixture
def folder(trained, results):
    return results(
        *(trained("unet", seed, fields={"settled": TUNED}) for seed in range(2)),
        trained("fpn"),
        trained("unet~1", recipe={"trial_of": "unet"}),
    )


def test_the_spread_of_all_trials_stands_beside_the_winner(folder):
    (group,) = load([folder]).groups
    (found,) = find_tunings(group.rows)
    assert found.row.method == "unet"
    assert found.best == 0.6
    assert found.miou == (pytest.approx(0.55), pytest.approx(0.005**0.5), 2)
    assert found.ends == (0.5, 0.6)
    assert found.settings == {"adversarial.weight": 0.01}


def test_seeds_that_were_tuned_apart_have_a_line_each(trained, results):
    other = FromUpstream(trials=TRIALS[:1], winner="a" * 16)
    folder = results(trained("unet", 0, fields={"settled": TUNED}), trained("unet", 1, fields={"settled": other}))
    (group,) = load([folder]).groups
    assert [len(one.trials) for one in find_tunings(group.rows)] == [3, 1]


def test_trials_are_in_no_ranking(folder):
    report = load([folder])
    assert sorted(row.method for group in report.groups for row in group.rows) == ["fpn", "unet"]
    assert [record.method for record in report.auxiliary] == ["unet~1"]


def test_the_text_shows_what_won(folder, whole_text):
    text = " ".join(whole_text(folder).split())
    assert "unet 3 60.00 55.00 ± 7.07 50.00 - 60.00 adversarial.weight=0.01" in text
    assert "fpn 3" not in text


def test_trials_without_any_score_have_dashes(trained, results, whole_text):
    nothing = FromUpstream(trials=TRIALS[2:], winner="c" * 16)
    text = " ".join(whole_text(results(trained("unet", fields={"settled": nothing}))).split())
    assert "unet 1 - - - adversarial.weight=0.001" in text
