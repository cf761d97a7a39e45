from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segbench.report import load

SHARES = np.random.default_rng(3).uniform(0.4, 0.9, size=25)


def statistics(folder):
    (group,) = load([folder]).groups
    return {row.method: row.statistics for row in group.rows}


def test_without_differences_between_images_the_interval_is_the_t_interval_of_the_seeds(trained, counted, results):
    shares = [0.5, 0.6, 0.64, 0.7]
    folder = results(*(counted(trained("unet", seed), [share] * 10) for seed, share in enumerate(shares)))
    found = statistics(folder)["unet"]
    # with k of n pixels right in each of two classes of n pixels, each IoU is k / (2 n - k)
    scores = np.array([share / (2 - share) for share in shares])
    expected = stats.t.interval(0.95, 3, loc=scores.mean(), scale=stats.sem(scores))
    assert found.interval == pytest.approx(expected, abs=1e-9)
    assert not found.is_over_images_only


def test_an_interval_never_leaves_what_a_score_can_be(trained, counted, results):
    folder = results(*(counted(trained("unet", seed), [share] * 4) for seed, share in enumerate([0.2, 1.0])))
    assert statistics(folder)["unet"].interval == (0.0, 1.0)


def test_one_seed_has_an_interval_over_images_only_and_no_tier(trained, counted, results):
    found = statistics(results(counted(trained("unet"), SHARES)))["unet"]
    assert found.is_over_images_only
    assert found.interval.low < found.estimate.estimate < found.interval.high
    assert (found.tier, found.tier_missing) == (None, "with one seed, the variation between seeds is unknown")


def test_rows_that_differ_significantly_are_in_tiers(trained, counted, results):
    noise = np.random.default_rng(1).normal(0, 0.003, size=(3, 4, 25))
    offsets = {"best": 0.1, "as good": 0.1, "worst": 0.0}
    folder = results(
        *(
            counted(trained(method, seed), SHARES + offset + noise[place, seed])
            for place, (method, offset) in enumerate(offsets.items())
            for seed in range(4)
        )
    )
    assert {method: found.tier for method, found in statistics(folder).items()} == {
        "best": 1,
        "as good": 1,
        "worst": 2,
    }


def test_a_row_that_lacks_seeds_of_most_has_an_interval_and_no_tier(trained, counted, results):
    folder = results(
        *(counted(trained(method, seed), SHARES) for method in ("a", "b") for seed in range(3)),
        *(counted(trained("c", seed), SHARES) for seed in range(2)),
    )
    found = statistics(folder)
    assert found["c"].interval is not None
    assert (found["c"].tier, found["c"].tier_missing) == (None, "it lacks some of the seeds of most rows (0, 1, 2)")
    assert found["a"].tier == found["b"].tier == 1


def test_a_row_without_counts_says_so_and_the_others_keep_theirs(trained, counted, results):
    bare = [trained("bare", seed, fields={"evaluated": counted(trained(), SHARES)[0].evaluated}) for seed in range(2)]
    folder = results(*bare, *(counted(trained("unet", seed), SHARES) for seed in range(2)))
    found = statistics(folder)
    assert (found["bare"].interval, found["bare"].interval_missing) == (None, "there are no counts of seeds 0, 1")
    assert found["unet"].interval is not None


def test_a_row_that_was_scored_on_other_images_takes_no_part(trained, counted, results):
    def renamed(cell):
        record, counts = cell
        return record, type(counts)(tuple(f"other {one}" for one in counts.ids), counts.split, counts.confusion)

    folder = results(
        *(counted(trained(method, seed), SHARES) for method in ("a", "b") for seed in range(2)),
        *(renamed(counted(trained("c", seed), SHARES)) for seed in range(2)),
    )
    found = statistics(folder)
    assert "its images, their clusters or its classes are not those of the other rows" in found["c"].interval_missing
    assert found["a"].interval == found["b"].interval


def test_images_of_one_sequence_are_drawn_together(trained, counted, results):
    shares = np.repeat([0.5, 0.6, 0.7, 0.8], 6)
    alone = statistics(results(counted(trained(), shares), root="alone"))["unet"]
    clusters = tuple(f"sequence {number // 6}" for number in range(24))
    together = statistics(results(counted(trained(), shares, clusters=clusters), root="together"))["unet"]
    assert (alone.estimate.units, together.estimate.units) == (24, 4)
    assert np.diff(together.interval) > 2 * np.diff(alone.interval)


def test_two_recipes_of_one_name_have_an_interval_each(trained, counted, results):
    folder = results(
        *(counted(trained("unet", seed), SHARES) for seed in range(3)),
        *(counted(trained("unet", seed, options={"encoder": "resnet34"}), SHARES - 0.2) for seed in range(3)),
    )
    (group,) = load([folder]).groups
    assert [row.statistics.tier for row in group.rows] == [1, 2]


def test_one_image_gives_no_interval_and_says_why(trained, counted, results):
    found = statistics(results(counted(trained(), [0.5])))["unet"]
    assert found.interval is None
    assert "an interval needs at least 2" in found.interval_missing


def test_methods_that_generate_images_need_no_interval(generating, results):
    found = statistics(results(generating()))["dcgan"]
    assert (found.interval, found.interval_missing) == (None, None)
