from __future__ import annotations

import numpy as np
import pytest

from segbench.report import load
from segbench.report.build import build_report
from segbench.report.numbers import Table
from segbench.report.page.page import ROOMS, to_html
from segbench.report.page.parts import Chart, Room
from segbench.report.ranking.groups import split_by_benchmark
from segbench.report.records import Sources

from .reading import Page, bodies, hash_of

SHARES = np.random.default_rng(0).uniform(0.4, 0.8, size=15)
NASTY = "<script>alert(1)</script>\"'&"


def chart(number=3):
    """A chart of some numbers, as a room has it."""
    values = [{"name": f"m{place}", "family": "supervised", "x": place} for place in range(number)]
    spec = {
        "params": [{"name": "filter", "value": ""}],
        "data": {"values": values},
        "mark": "point",
        "encoding": {"x": {"field": "x", "type": "quantitative"}},
    }
    return Chart("dots", "Dots", spec, Table(["name", "x"], [[one["name"], str(one["x"])] for one in values]))


def room_of(*charts, **fields):
    return lambda report: Room("figures", "Figures", charts=charts, **fields)


@pytest.fixture
def report(trained, adversarial, counted, results):
    """A critic and its twin over three seeds."""
    cells = [counted(make(seed=seed), SHARES) for make in (trained, adversarial) for seed in range(3)]
    return load([results(*cells)])


def test_everything_that_acts_is_named_in_the_policy_by_its_hash(report):
    html = to_html(report, [*ROOMS, room_of(chart())])
    page = Page(html)
    scripts, styles = bodies(html, "script"), bodies(html, "style")
    assert (len(scripts), len(styles)) == (2, 1)
    assert page.policy["default-src"] == "'none'"
    assert page.policy["img-src"] == "data:"
    assert page.policy["script-src"].split() == [hash_of(text) for text in scripts]
    assert page.policy["style-src"].split() == [hash_of(text) for text in styles]
    assert not [one for one in page.elements if "style" in one.attributes]
    assert not [name for one in page.elements for name in one.attributes if name.startswith("on")]


def test_nothing_is_fetched(report):
    html = to_html(report, [*ROOMS, room_of(chart())])
    addresses = [
        one.attributes[name] for one in Page(html).elements for name in ("src", "href") if name in one.attributes
    ]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "@import" not in html
    assert "url(" not in bodies(html, "style")[0]


def test_the_library_of_charts_is_left_out_of_a_page_without_charts(report):
    assert len(to_html(report, [])) < 60_000 < len(to_html(report, [room_of(chart())]))


def test_charts_have_ids_of_their_benchmark_and_their_numbers_as_a_table(report):
    page = Page(to_html(report, [room_of(chart())]))
    assert list(page.charts) == ["b0-dots"]
    assert "b0-dots" in [one.attributes["id"] for one in page.all("figure")]
    assert "name x m0 0 m1 1 m2 2" in page.text


def test_links_of_the_contents_lead_to_parts_of_the_page(report):
    page = Page(to_html(report))
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    links = [one.attributes["href"][1:] for one in page.all("a") if one.attributes["href"].startswith("#")]
    assert len(ids) == len(set(ids))
    assert set(links) <= set(ids)
    assert {"b0-leaderboard", "b0-trust"} <= set(links)


def test_a_room_that_cannot_be_made_is_named_and_costs_no_other(report):
    def broken_room(report):
        raise ValueError("no <numbers>")

    page = Page(to_html(report, [broken_room, room_of(lead="still here")]))
    assert "Broken room This part could not be made: ValueError: no <numbers>" in page.text
    assert "still here" in page.text


def test_a_room_may_be_left_out(report):
    assert Page(to_html(report, [lambda report: None])).all("h2") == []


def test_names_are_text_whatever_they_hold(trained, failed, results):
    names = [NASTY, "x" * 300, "\u202eright to left", "{{ 7 * 7 }}", "</style></noscript>"]
    folder = results(
        *(trained(name, 0, 0.5 + place / 100) for place, name in enumerate(names)), failed(f"{NASTY} failed", 1)
    )
    html = to_html(load([folder]))
    page = Page(html)
    for name in [NASTY, "x" * 300, "\\u202eright to left", "{{ 7 * 7 }}", "</style></noscript>", f"{NASTY} failed"]:
        assert name in page.text
    assert "alert(1)</script>" not in html
    assert "\u202e" not in html
    assert len(page.all("script")) == 3


def test_data_of_charts_end_no_script(report):
    nasty = chart()
    nasty.spec["data"]["values"][0]["name"] = "</script><!--"
    html = to_html(report, [room_of(nasty)])
    assert Page(html).charts["b0-dots"]["data"]["values"][0]["name"] == "</script><!--"


def test_each_benchmark_is_a_section_with_what_is_its_own(trained, failed, results):
    folder = results(trained(), trained(benchmark="voc", dataset="voc"), failed(benchmark="third", dataset="third"))
    parts = list(split_by_benchmark(load([folder])))
    assert [[group.data.benchmark for group in part.groups] for part in parts] == [["camvid"], ["voc"], []]
    assert [len(part.without_result) for part in parts] == [0, 0, 1]
    page = Page(to_html(load([folder])))
    assert [one.attributes["id"] for one in page.all("article")] == ["b0", "b1", "b2"]
    assert "No cell has a result: 1 failed." in page.text


def test_long_tables_wait_until_they_are_opened_and_are_there_without_scripts(report):
    html = to_html(report, [room_of(chart(500))])
    assert '<td class="words">m499</td>' in html
    assert len(Page(html).elements) < 150


def test_a_page_of_ten_methods_without_pictures_is_small(trained, counted, results):
    cells = [counted(trained(f"method {place}", seed), SHARES) for place in range(10) for seed in range(3)]
    assert len(to_html(load([results(*cells)]), [*ROOMS, room_of(chart())]).encode()) < 1_300_000


def test_a_page_of_two_thousand_cells_has_few_elements(trained, tmp_path):
    first = [trained(f"method {place}", 0, 0.5 + place / 1000) for place in range(40)]
    cells = [one.model_copy(update={"seed": seed, "key": f"{one.key}{seed}"}) for one in first for seed in range(50)]
    report = build_report(Sources(tuple(cells), (tmp_path,), ()))
    assert len(report.records) == 2000
    assert len(Page(to_html(report)).elements) < 5000


def test_only_failures_make_a_page(failed, results):
    page = Page(to_html(load([results(*(failed(seed=seed) for seed in range(2)))])))
    assert "No cell has a result: 2 failed." in page.text
    assert "the loss is NaN at step 17 (plugin losses)" in page.text
    assert "Cells without a result (2)" in page.text
