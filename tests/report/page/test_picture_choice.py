from __future__ import annotations

import shutil

import pytest

from segbench.report import load
from segbench.report.page.picture_choice import MOST_METHODS, choose_pictures
from segbench.store.counts import COUNTS
from segbench.store.pictures import SAMPLES

IDS = [f"image {number:03}" for number in range(4)]
TWIN = [0.5, 0.5, 0.5, 0.5, 0.5]
CRITIC = [0.6, 0.5, 0.2, 0.55, 0.99]


@pytest.fixture
def report(trained, adversarial, counted, results, keep_pictures):
    """A critic and its twin over two seeds; all but the last of five images are kept."""
    cells = [counted(trained(seed=seed), TWIN) for seed in (1, 2)]
    cells += [counted(adversarial(seed=seed), CRITIC) for seed in (1, 2)]
    found = load([results(*cells)])
    keep_pictures(found, IDS)
    return found


def test_the_largest_differences_between_a_claim_and_its_twin_come_first(report):
    choice = choose_pictures(report, report.groups[0])
    assert (choice.better, choice.worse, choice.seed, choice.seeds) == ("unet+critic", "unet", 1, (1, 2))
    assert [cell.name for cell in choice.cells] == ["unet", "unet+critic"]
    assert [image.id for image in choice.images] == ["image 002", "image 000", "image 003", "image 001"]
    # Of two classes of equal size of which a share s is right the IoU is s / (2 - s).
    gains = [0.2 / 1.8 - 0.5 / 1.5, 0.6 / 1.4 - 0.5 / 1.5, 0.55 / 1.45 - 0.5 / 1.5, 0]
    assert [image.gain for image in choice.images] == pytest.approx(gains)
    assert choice.cells[1].miou["image 002"] == pytest.approx(0.2 / 1.8)


def test_without_pictures_there_is_nothing_to_choose(trained, counted, results):
    report = load([results(counted(trained(), TWIN))])
    assert choose_pictures(report, report.groups[0]) is None


def test_a_seed_that_most_methods_kept_pictures_of_is_shown(report):
    shutil.rmtree(report.folder_of(next(one for one in report.groups[0].rows[0].records if one.seed == 1)) / SAMPLES)
    assert choose_pictures(report, report.groups[0]).seed == 2


def test_without_a_claim_the_two_best_are_compared_and_there_are_not_too_many(trained, counted, results, keep_pictures):
    cells = [counted(trained(f"net {number}"), [0.5 + number / 100] * 5) for number in range(MOST_METHODS + 2)]
    report = load([results(*cells)])
    keep_pictures(report, IDS)
    choice = choose_pictures(report, report.groups[0])
    assert (choice.better, choice.worse) == ("net 11", "net 10")
    assert [cell.name for cell in choice.cells][:3] == ["net 10", "net 11", "net 9"]
    assert len(choice.cells) == MOST_METHODS


def test_a_method_alone_shows_where_it_is_worst(trained, counted, results, keep_pictures):
    report = load([results(counted(trained(), CRITIC))])
    keep_pictures(report, IDS)
    choice = choose_pictures(report, report.groups[0])
    assert [image.id for image in choice.images] == ["image 002", "image 001", "image 003", "image 000"]
    assert (choice.better, choice.worse, choice.images[0].gain) == ("unet", "", None)


def test_a_cell_whose_counts_are_gone_since_is_left_out(report):
    for record in report.groups[0].rows[0].records:
        (report.folder_of(record) / COUNTS).unlink()
    assert [cell.name for cell in choose_pictures(report, report.groups[0]).cells] == [report.groups[0].rows[1].name]
