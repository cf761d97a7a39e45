from __future__ import annotations

import numpy as np
import pytest

from segbench.report import load, render
from segbench.report.formats.curves import rate_text
from segbench.stats.label_efficiency import ExchangeRate

FRACTIONS = (0.125, 0.25, 1.0)
IMAGES = np.random.default_rng(2).uniform(-0.1, 0.1, size=20)


def subset(fraction):
    return "all" if fraction == 1 else f"labels {fraction}"


@pytest.fixture
def cells(trained, counted):
    """Make the cells of a method: the share of right pixels by fraction, the same for all seeds but for a little."""

    def make(method, shares, seeds=3, **choices):
        random = np.random.default_rng(len(method))
        recipe = {"labels": FRACTIONS, **choices.pop("recipe", {})}
        return [
            counted(
                trained(method, seed, subset=subset(fraction), recipe=recipe, **choices),
                share + IMAGES + random.normal(0, 0.002, 20),
            )
            for fraction, share in zip(FRACTIONS, shares, strict=False)
            for seed in range(seeds)
        ]

    return make


@pytest.fixture
def folder(cells, results):
    """A twin that gains with each doubling, and a method that scores at 1/8 what its twin does at 1/4."""
    return results(*cells("unet", [0.6, 0.65, 0.75]), *cells("semi", [0.65, 0.7, 0.9], recipe={"twin": "unet"}))


def test_rankings_that_differ_in_the_share_of_labels_make_curves(folder):
    (found,) = load([folder]).efficiencies
    assert found.fractions == FRACTIONS
    assert [curve.method for curve in found.curves] == ["semi", "unet"]
    semi, unet = found.curves
    assert list(semi.rows) == list(FRACTIONS)
    assert unet.exchanges == ()
    assert [exchange.seeds for exchange in semi.exchanges] == [(0, 1, 2)] * 3


def test_the_exchange_rate_at_each_fraction_is_that_of_the_twins_curve(folder):
    ((semi, _),) = [one.curves for one in load([folder]).efficiencies]
    least, middle, all_labels = (exchange.rate for exchange in semi.exchanges)
    assert least.estimate == pytest.approx(2.0, rel=0.05)
    assert least.low < 2.0 < least.high
    # 0.70 lies halfway between 0.65 and 0.75 in pixels, and IoU is nearly linear there: one doubling above 1/4
    assert middle.estimate == pytest.approx(2.0, rel=0.1)
    assert (all_labels.side, all_labels.most, all_labels.high) == ("above", 1.0, None)


def test_one_fraction_makes_no_curve(cells, results):
    assert load([results(*cells("unet", [0.6]))]).efficiencies == ()


def test_a_twin_with_one_fraction_gives_no_rate(cells, results):
    folder = results(*cells("unet", [0.6]), *cells("semi", [0.6, 0.7], recipe={"twin": "unet"}))
    ((semi, _),) = [one.curves for one in load([folder]).efficiencies]
    assert semi.exchanges == ()


def test_without_common_seeds_the_reason_stands_in_place_of_the_rate(cells, counted, trained, results):
    late = counted(
        trained("semi", 9, subset=subset(0.125), recipe={"labels": FRACTIONS, "twin": "unet"}), 0.65 + IMAGES
    )
    folder = results(*cells("unet", [0.6, 0.65, 0.75]), late)
    (found,) = load([folder]).efficiencies
    (exchange,) = found.curves[0].exchanges
    assert exchange.rate is None
    assert "no seed in common" in exchange.missing
    assert "semi: no exchange rate: no seed in common" in render([folder])


def test_another_protocol_or_device_makes_no_common_curve(cells, results):
    steps = {"protocol": {"budget": {"steps": 9}}}
    folder = results(*cells("unet", [0.6]), *(cells("unet", [0.6, 0.65], **steps)[3:]))
    assert load([folder]).efficiencies == ()


def test_a_recipe_that_was_edited_between_two_fractions_makes_no_curve(cells, results):
    edited = {"options": {"encoder": "resnet34"}}
    folder = results(*cells("unet", [0.6]), *(cells("unet", [0.6, 0.65], **edited)[3:]))
    assert load([folder]).efficiencies == ()


def test_two_recipes_of_one_name_have_a_curve_each_beside_the_twin_of_their_own(cells, results):
    folder = results(
        *(
            cell
            for width, gain in ((1, 0.0), (2, 0.1))
            for method, twin in (("unet", None), ("semi", "unet"))
            for cell in cells(method, [0.6 + gain, 0.7 + gain], recipe={"twin": twin}, options={"width": width})
        )
    )
    (efficiency,) = load([folder]).efficiencies
    widths = {
        curve.method: next(iter(curve.rows.values())).records[0].spec["method"]["generator"]["options"]["width"]
        for curve in efficiency.curves
    }
    assert sorted(name.partition("@")[0] for name in widths) == ["semi", "semi", "unet", "unet"]
    for curve in efficiency.curves:
        assert curve.twin is None or widths[curve.twin] == widths[curve.method]
    assert sum(bool(curve.exchanges) for curve in efficiency.curves) == 2


@pytest.mark.parametrize("format", ["table", "markdown", "latex"])
def test_the_text_shows_curves_and_rates_and_says_how_to_read_them(folder, format, whole_text):
    text = " ".join(whole_text(folder, format).replace(r"$\times$", "×").replace("{[}", "[").split())
    assert "label efficiency" in text
    assert "12.5" in text
    assert "What the labels are worth, in labels of the twin" in text
    assert "the twin needs 1.3 times as many labels" in text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (ExchangeRate(1.3, "within", 1.1, 1.6, 0.5, 4.0), "×1.30 [1.10, 1.60]"),
        (ExchangeRate(1.3, "within", None, None, 0.5, 4.0), "×1.30 [<0.500, >4.00]"),
        (ExchangeRate(None, "above", 3.0, None, 0.5, 4.0), ">×4.00 [3.00, >4.00]"),
        (ExchangeRate(None, "below", None, 0.5, 0.5, 4.0), "<×0.500 [<0.500, 0.500]"),
    ],
)
def test_a_rate_that_is_only_bounded_says_so(rate, text):
    assert rate_text(rate) == text
