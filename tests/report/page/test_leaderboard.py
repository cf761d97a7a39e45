from __future__ import annotations

import base64
import re

import numpy as np
import pytest

from segbench.report import load, render
from segbench.report.page.leaderboard import leaderboard

from .reading import Page

SHARES = np.random.default_rng(0).uniform(0.4, 0.8, size=15)


@pytest.fixture
def folder(trained, adversarial, counted, results):
    """A critic and its twin over three seeds."""
    return results(*(counted(make(seed=seed), SHARES) for make in (trained, adversarial) for seed in range(3)))


def board_of(folder):
    return Page(leaderboard(load([folder])).html)


def test_the_cells_are_those_of_the_other_formats(folder):
    page = board_of(folder)
    miou = load([folder]).groups[0].rows[0].score("miou").mean
    assert f"{100 * miou:.2f} ± 0.00" in page.text
    assert "undecided: every seed gives the same" in page.text
    assert "14.3" in page.text
    assert "3 healthy" in page.text


def test_some_columns_wait_to_be_chosen(folder):
    headers = [one for one in board_of(folder).all("th") if one.attributes.get("scope") == "col"]
    extra = [one for one in headers if "data-extra" in one.attributes]
    assert 0 < len(extra) < len(headers)


def test_intervals_are_drawn_on_one_line_and_inside_it(trained, counted, results):
    noise = np.random.default_rng(1).normal(0, 0.05, (2, 3, 15))
    cells = [
        counted(trained(name, seed), np.clip(SHARES + gain + noise[place, seed], 0, 1))
        for place, (name, gain) in enumerate([("good", 0.1), ("poor", -0.1)])
        for seed in range(3)
    ]
    page = board_of(results(*cells))
    ends = [
        [float(number) for number in re.fullmatch(r"M([0-9.]+) 6H([0-9.]+)", one.attributes["d"]).groups()]
        for one in page.all("path")
        if "6H" in one.attributes["d"]
    ]
    means = [float(one.attributes["cx"]) for one in page.all("circle")]
    assert len(ends) == len(means) == 2
    assert all(0 <= low < mean < high <= 120 for (low, high), mean in zip(ends, means, strict=True))
    assert means[0] > means[1]
    headers = [one.attributes.get("class") for one in page.all("th") if one.attributes.get("scope") == "col"]
    assert headers.index("drawn") == 2  # behind method and mIoU: on a narrow screen numbers come first


def test_families_have_a_shape_with_a_name(folder):
    shapes = {one.attributes["aria-label"] for one in board_of(folder).all("svg") if "aria-label" in one.attributes}
    assert shapes == {"supervised", "adversarial"}


def test_the_csv_is_that_of_the_report(folder):
    (link,) = board_of(folder).all("a")
    kind, _, data = link.attributes["href"].partition("base64,")
    assert kind == "data:text/csv;charset=utf-8;"
    assert link.attributes["download"] == "camvid.csv"
    assert base64.b64decode(data).decode() == render([folder], format="csv")


def test_placebos_are_marked(trained, adversarial, results):
    page = board_of(results(trained(), adversarial("unet+critic~frozen", recipe={"placebo_of": "unet+critic"})))
    (row,) = [one for one in page.all("tr") if one.attributes.get("class") == "placebo"]
    assert row.attributes["data-name"] == "unet+critic~frozen"
    assert "METHOD~KIND: a placebo" in page.text


def test_methods_that_make_images_have_a_table_of_their_own(trained, generating, results):
    page = board_of(results(trained(), generating()))
    assert len(page.all("table")) == 2
    assert "Generated images" in page.text
    assert "dcgan 0.0200" in page.text


def test_without_rows_there_is_none(failed, results):
    assert leaderboard(load([results(failed())])) is None


def test_rows_of_two_machines_say_where_they_ran_and_speeds_elsewhere_have_a_table_of_their_own(trained, results):
    cpu = {"device": "cpu", "device_name": "Xeon", "threads": 2, "torch": "2.15.0"}
    page = board_of(results(trained("unet", 0), trained("unet", 1), trained("fpn", environment=cpu)))
    assert "Ran under 2: cpu: Xeon · 2 threads." in page.text
    assert "what was measured elsewhere stands in tables of its own" in page.text
    assert "Measured under cpu: Xeon · 2 threads" in page.text
    assert len(page.all("table")) == 2


def test_rows_of_one_machine_need_no_word_of_it(trained, results):
    assert "Ran under" not in board_of(results(trained("unet"), trained("fpn"))).text
