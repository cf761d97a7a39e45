from __future__ import annotations

from collections import Counter

import pytest

from segbench.errors import RecordError, StatisticsError
from segbench.report.judging.material import find_material
from segbench.store.judgements import SPOILT

from .conftest import plan_of


def kinds(plan):
    return Counter(deal.kind for deal in plan.deals)


def test_the_same_results_and_seed_give_the_same_plan_and_another_seed_another_one(kept):
    root = kept()
    assert plan_of(root).hash == plan_of(root).hash
    assert plan_of(root).hash != plan_of(root, seed=1).hash


def test_fewer_images_are_the_first_of_more(kept):
    root = kept()
    assert [look.image for look in plan_of(root).looks[:3]] == [look.image for look in plan_of(root, images=3).looks]


def test_every_pair_of_methods_is_dealt_on_every_image_on_both_sides_as_often(kept):
    plan = plan_of(kept())
    pairs = [deal for deal in plan.deals if deal.kind == "pair"]
    assert Counter((deal.left, deal.right) for deal in pairs) == {
        (one, other): 3 for one in range(3) for other in range(3) if one != other
    }
    assert len({(deal.look, *sorted((deal.left, deal.right))) for deal in pairs}) == 18


def test_a_fifth_of_the_pairs_returns_with_sides_swapped_half_a_turn_away(kept):
    plan = plan_of(kept())
    places = {(deal.look, deal.left, deal.right): place for place, deal in enumerate(plan.deals) if deal.kind == "pair"}
    repeats = [(place, deal) for place, deal in enumerate(plan.deals) if deal.kind == "repeat"]
    assert len(repeats) == round(0.2 * 18)
    for place, deal in repeats:
        away = abs(place - places[deal.look, deal.right, deal.left])
        assert min(away, len(plan.deals) - away) >= len(plan.deals) // 3


def test_sham_pairs_have_a_prediction_and_itself_spoilt(kept):
    shams = [deal for deal in plan_of(kept()).deals if deal.kind == "sham"]
    assert len(shams) == 2
    assert {SPOILT} == {min(deal.left, deal.right) for deal in shams}
    assert {deal.left == SPOILT for deal in shams} == {True, False}


def test_without_a_good_prediction_there_is_no_sham_pair(kept):
    assert kinds(plan_of(kept(right=0.5)))["sham"] == 0


def test_identical_label_maps_are_ties_that_are_not_dealt(kept):
    plan = plan_of(kept((("good", 0), ("same", 0), ("poor", 5))), ("good", "same", "poor"))
    assert len(plan.ties) == 6
    assert all((tie.one, tie.other) == (0, 1) for tie in plan.ties)
    assert kinds(plan)["pair"] == 12


def test_images_have_the_seeds_in_turn_or_each(kept):
    root = kept()
    assert Counter(look.seed for look in plan_of(root).looks) == {0: 3, 1: 3}
    assert Counter(look.seed for look in plan_of(root, each_seed=True).looks) == {0: 6, 1: 6}


def test_a_plan_holds_the_scores_of_each_image(kept):
    shown = plan_of(kept(right=0.9)).looks[0].shown[0]
    assert shown.miou == pytest.approx(900 / 1100)
    assert shown.boundary_iou is None


def test_only_images_that_all_methods_kept_are_shown(kept):
    root = kept()
    material = find_material([root], ["good", "poor"])
    material.cells[0][1].picture(material.images[2]).unlink()
    assert len(find_material([root], ["good", "poor"]).images) == 5


def test_without_pictures_the_message_says_how_to_keep_them(results, trained, counted):
    root = results(*(counted(trained(name, 0), [0.9, 0.8]) for name in ("unet", "fpn")))
    with pytest.raises(RecordError, match=r"unet, fpn have kept no picture in common .*protocol\.keep\.samples"):
        find_material([root], ["unet", "fpn"])


def test_methods_without_a_common_seed_are_refused(kept, trained, counted, results):
    root = kept(seeds=(0,))
    results(counted(trained("late", 5), [0.9] * 6))
    with pytest.raises((RecordError, StatisticsError), match="seed"):
        find_material([root], ["good", "late"])
