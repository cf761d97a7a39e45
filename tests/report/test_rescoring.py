from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segbench.errors import RecordError
from segbench.report.rescoring import rescore, to_json, to_text
from segbench.stats.conventions import CONVENTIONS
from segbench.stats.scores import iou, miou
from segbench.store.counts import COUNTS, Counts, write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.record import Evaluated, PerClass, Record, Scores

# Class 2 never occurs in the truth. Reference: (8/10 + 10/12) / 2, and (9/10 + 1 + 0) / 3 for who predicts class 2.
CAUTIOUS = [[8, 2, 0], [0, 10, 0], [0, 0, 0]]
BOLD = [[9, 0, 1], [0, 10, 0], [0, 0, 0]]


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Write the record and counts of a cell into results/, in the current folder, and return the cell's folder."""
    monkeypatch.chdir(tmp_path)

    def write(method, seed, *images, stated=None, benchmark="tiny", spec=None):
        confusion = np.array(images, dtype=np.int64)
        counts = Counts(ids=tuple(f"image {i}" for i in range(len(images))), split="test", confusion=confusion)
        total = confusion.sum(axis=0)
        score = miou(total) if stated is None else stated
        record = Record(
            key=hashlib.sha256(f"{benchmark} {method} {seed} {spec}".encode()).hexdigest()[:16],
            benchmark=benchmark,
            dataset="shapes",
            subset="all",
            method=method,
            seed=seed,
            status="ok",
            scores=Scores(miou=score, pixel_accuracy=None, mean_accuracy=None, fwiou=None, dice=None),
            per_class=PerClass(iou=[None if np.isnan(value) else value for value in iou(total)]),
            evaluated=Evaluated(split="test", images=len(images)),
            spec=spec or {},
            environment={},
        )
        folder = ResultsFolder(tmp_path / "results", benchmark)
        folder.write(record)
        folder.cell_folder(record.key).mkdir(exist_ok=True)
        write_counts(folder.cell_folder(record.key), counts)
        return folder.cell_folder(record.key)

    return write


@pytest.fixture
def two_methods(store):
    store("cautious", 0, CAUTIOUS)
    store("bold", 0, BOLD)


def rescored(*conventions, benchmark=None):
    return json.loads(to_json(rescore([Path("results")], conventions or list(CONVENTIONS), benchmark)))


def words(*conventions):
    """Return the words of the text, however its lines are broken."""
    return " ".join(to_text(rescore([Path("results")], conventions or list(CONVENTIONS))).split())


def row(content, method, ranking=0):
    return next(row for row in content["rankings"][ranking]["rows"] if row["method"] == method)


def test_each_method_has_its_score_in_each_convention(two_methods):
    content = rescored()
    together = 8 / 10 + 10 / 12
    means = {name: score["mean"] for name, score in row(content, "cautious")["scores"].items()}
    assert means == {
        "reference": pytest.approx(together / 2),
        "present-in-truth": pytest.approx(together / 2),
        "absent-as-one": pytest.approx((together + 1) / 3),
        "per-image": pytest.approx(together / 2),
    }
    assert row(content, "bold")["scores"]["reference"]["mean"] == pytest.approx(1.9 / 3)
    assert row(content, "bold")["scores"]["present-in-truth"]["mean"] == pytest.approx(1.9 / 2)


def test_ranks_and_shifts_are_told_for_each_convention(two_methods):
    content = rescored()
    assert row(content, "cautious")["rank"] == {
        "reference": 1,
        "present-in-truth": 2,
        "absent-as-one": 1,
        "per-image": 1,
    }
    assert row(content, "bold")["shift"]["present-in-truth"] == pytest.approx(1.9 / 2 - 1.9 / 3)
    assert row(content, "bold")["shift"]["reference"] == 0


def test_the_text_ends_with_what_conventions_move_at_most(two_methods):
    text = words()
    assert "63.33 ± -" in text
    assert "1 (+31.67)" in text
    assert text.endswith(
        "Against the reference, the choice of a convention changes a score by at most 31.67 points (bold under "
        "present-in-truth) and a rank by at most 1 place (cautious under present-in-truth)."
    )


def test_means_and_deviations_are_over_the_seeds(store):
    store("fcn", 0, [[5, 5], [0, 10]])
    store("fcn", 1, [[10, 0], [0, 10]])
    found = row(rescored(), "fcn")
    scores = [(5 / 10 + 10 / 15) / 2, 1.0]
    assert found["seeds"] == [0, 1]
    expected = {"mean": np.mean(scores), "sd": np.std(scores, ddof=1), "n": 2}
    assert found["scores"]["reference"] == pytest.approx(expected)


def test_images_count_alike_only_under_per_image(store):
    store("fcn", 0, [[100, 0], [0, 100]], [[1, 1], [1, 1]])
    scores = row(rescored(), "fcn")["scores"]
    assert scores["reference"]["mean"] == pytest.approx(101 / 103)
    assert scores["per-image"]["mean"] == pytest.approx((1 + 1 / 3) / 2)


def test_only_the_conventions_asked_for_stand_beside_the_reference(two_methods):
    content = rescored("absent-as-one")
    assert list(content["conventions"]) == ["reference", "absent-as-one"]
    assert content["largest_rank_change"]["size"] == 0
    assert words("absent-as-one").endswith("(cautious under absent-as-one) and no rank.")


def test_the_reference_alone_moves_nothing(two_methods):
    assert rescored("reference")["largest_shift"] is None
    assert "Name another convention" in words("reference")


def test_rankings_stay_apart(store):
    store("fcn", 0, CAUTIOUS)
    store("fcn", 0, BOLD, benchmark="other")
    content = rescored()
    assert [ranking["benchmark"] for ranking in content["rankings"]] == ["other", "tiny"]
    assert [len(ranking["rows"]) for ranking in content["rankings"]] == [1, 1]
    assert [ranking["benchmark"] for ranking in rescored(benchmark="tiny")["rankings"]] == ["tiny"]
    assert "(fcn under present-in-truth in other / shapes)" in words()


def test_several_recipes_of_one_name_have_letters(store):
    store("fcn", 0, CAUTIOUS, spec={"method": {"generator": {"use": "small"}}})
    store("fcn", 0, BOLD, spec={"method": {"generator": {"use": "large"}}})
    text = words()
    for row in rescored()["rankings"][0]["rows"]:
        assert re.fullmatch(r"fcn \([ab]\)", row["label"])
        assert re.search(
            rf"{re.escape(row['label'])}: one of 2 recipes recorded as fcn, fcn@\w{{8}}: generator.use=", text
        )


def remove(folder):
    (folder / COUNTS).unlink()


def damage(folder):
    (folder / COUNTS).write_bytes(b"not a table")


def unbalance(folder):
    """Counts of 20 pixels in an image of 5 x 5 without ignored ones."""
    counts = Counts(ids=("image 0",), split="test", confusion=np.array([CAUTIOUS]))
    write_counts(folder, replace(counts, sizes=np.array([[5, 5]]), void=np.array([0])))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (remove, "no counts at"),
        (damage, "cannot read the counts in"),
        (unbalance, "its confusion and ignored pixels do not add up to its size"),
    ],
)
def test_a_record_whose_counts_are_useless_is_set_aside_and_named(store, spoil, reason):
    store("fcn", 0, CAUTIOUS)
    spoil(store("fcn", 1, CAUTIOUS))
    content = rescored()
    assert row(content, "fcn")["seeds"] == [0]
    [told] = content["rankings"][0]["set_aside"]
    assert told.startswith("fcn, seed 1: ")
    assert reason in told
    assert f"Ignored: {told}" in words()


@pytest.mark.parametrize(("stated", "is_set_aside"), [(49 / 60 + 1e-10, False), (49 / 60 + 1e-8, True)])
def test_a_record_that_states_another_score_than_its_counts_give_is_set_aside(store, stated, is_set_aside):
    store("fcn", 0, CAUTIOUS)
    store("fcn", 1, CAUTIOUS, stated=stated)
    content = rescored()
    assert row(content, "fcn")["seeds"] == ([0] if is_set_aside else [0, 1])
    assert any("mIoU" in reason for reason in content["rankings"][0]["set_aside"]) == is_set_aside


def test_nothing_but_useless_counts_is_an_error_that_says_why(store):
    remove(store("fcn", 0, CAUTIOUS))
    with pytest.raises(RecordError, match="no record has counts of label maps that can be scored again") as caught:
        rescored()
    assert "fcn, seed 0: no counts at" in str(caught.value)
