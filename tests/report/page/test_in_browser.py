"""The page of a report, opened and used in headless Chromium from file:// and without a network."""

from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from segbench.report import load
from segbench.report.page.page import to_html

from ...browser import DESK, PHONE  # noqa: TID252 - tests have no absolute name
from .shown_records import HOSTILE, IMAGES, SEEDS, several_families, write_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from ...browser import Visit  # noqa: TID252 - tests have no absolute name


A4 = 794  # CSS pixels of its width

METHODS = ["unet", "unet+critic", "unet+critic~frozen", "fast", "poor"]


@pytest.fixture(scope="module")
def write_page(tmp_path_factory) -> Callable[..., Path]:
    """Write the page of some cells."""

    def write(*cells) -> Path:
        folder = tmp_path_factory.mktemp("page")
        page = folder / "report.html"
        page.write_text(to_html(load([write_shown(folder / "results", cells)])), encoding="utf-8")
        return page

    return write


@pytest.fixture(scope="module")
def page(write_page, trained, adversarial, failed, counted, timing) -> Path:
    """A page of methods of several families, with pictures and failures."""
    return write_page(*several_families(trained, adversarial, failed, counted, timing))


@pytest.fixture
def opened(chromium, page) -> Iterator[Visit]:
    """The page, in a wide and light window; when a test ends, nothing was asked for, and nothing went wrong."""
    with chromium.open(page, color_scheme="light") as visit:
        yield visit
        assert visit.faults() == []


def board(page: Page) -> Locator:
    """Return the first leaderboard."""
    return page.locator("table.sortable").first


def names(page: Page) -> list[str]:
    """Return the methods of the leaderboard's rows that are shown, from top to bottom."""
    rows = board(page).locator("tbody tr:not([hidden])")
    return rows.evaluate_all("rows => rows.map(row => row.dataset.name)")


def column(page: Page, header: str) -> list[str]:
    """Return the cells below a header, from top to bottom."""
    headers = board(page).locator("thead th").all_inner_texts()
    place = next(place for place, text in enumerate(headers) if header in text)
    return board(page).locator(f"tbody tr > :nth-child({place + 1})").all_inner_texts()


def sorted_by(page: Page) -> dict[str, str]:
    """Return headers with the direction that they are sorted in, as assistive technology is told."""
    cells = board(page).locator("th[aria-sort]:not([aria-sort=none])")
    return {cell.inner_text().split()[0]: cell.get_attribute("aria-sort") for cell in cells.all()}


def figure(page: Page, chart: str) -> Locator:
    """Return a figure, in sight and drawn; the svg that draws it follows its id on the page."""
    found = page.locator(f"figure#b0-{chart}")
    draw(found)
    return found


def draw(chart: Locator) -> None:
    """Bring a chart into sight until it is drawn."""
    chart.scroll_into_view_if_needed()
    chart.locator(".drawing svg").first.wait_for()


def marks(chart: Locator) -> Locator:
    """Return the points of a chart."""
    return chart.locator(".drawing svg [role=graphics-symbol][aria-roledescription*=point]")


def draw_all(page: Page) -> None:
    """Bring every chart into sight until it is drawn."""
    for chart in page.locator("figure.chart").all():
        draw(chart)


def test_it_opens_with_few_nodes_and_its_answer(opened):
    assert opened.count_nodes() <= 5000
    assert "unet+critic - unet" in opened.page.locator(".answer").first.inner_text()
    assert opened.page.locator("h1").count() == 1
    assert sorted(names(opened.page)) == sorted(METHODS)


@pytest.mark.parametrize(("width", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_axe_finds_nothing_serious_and_the_page_fits_its_window(chromium, page, width, scheme):
    with chromium.open(page, width=width, color_scheme=scheme) as visit:
        draw_all(visit.page)
        for details in visit.page.locator("details").all():
            details.evaluate("element => element.open = true")
        assert visit.inaccessible() == []
        assert visit.overflow() == 0
        assert visit.faults() == []


@pytest.mark.parametrize("width", [PHONE, 1060])  # two rows, and where they become one
def test_a_legend_has_room_for_its_rows(chromium, page, width):
    with chromium.open(page, width=width) as visit:
        drawing = figure(visit.page, "pareto").locator(".drawing svg")
        top = drawing.bounding_box()["y"]
        named = drawing.locator(".role-legend-label text")
        assert named.count() >= 3
        assert all(label.bounding_box()["y"] >= top for label in named.all())


def test_a_header_sorts_by_mouse_and_by_key(opened):
    page = opened.page
    header = board(page).get_by_role("button", name="images/s")
    header.click()
    assert [float(text) for text in column(page, "images/s")] == [667, 333, 167, 167, 167]
    assert sorted_by(page) == {"images/s": "descending"}
    header.press("Enter")
    assert [float(text) for text in column(page, "images/s")] == [167, 167, 167, 333, 667]
    assert sorted_by(page) == {"images/s": "ascending"}
    board(page).get_by_role("button", name="method").press("Space")
    assert names(page) == sorted(METHODS)
    assert list(sorted_by(page)) == ["method"]


def test_what_is_missing_is_sorted_last_in_both_directions(opened):
    header = board(opened.page).get_by_role("button", name="Δ twin")
    for _ in range(2):
        header.click()
        assert [text == "-" for text in column(opened.page, "Δ twin")] == [False, False, True, True, True]


def test_the_filter_keeps_rows_and_says_how_many(opened):
    opened.page.get_by_label("filter").fill("CRITIC")
    assert sorted(names(opened.page)) == ["unet+critic", "unet+critic~frozen"]
    assert opened.page.locator("#live").inner_text() == "2 of 5 rows"
    opened.page.get_by_label("filter").fill("(")
    assert names(opened.page) == []
    opened.page.get_by_label("filter").fill("")
    assert len(names(opened.page)) == len(METHODS)


def test_the_filter_keeps_points_of_charts(opened):
    chart = figure(opened.page, "pareto")
    assert marks(chart).count() == len(METHODS)
    opened.page.get_by_label("filter").fill("fast")
    expect(marks(chart)).to_have_count(1)
    opened.page.get_by_label("filter").fill("critic")
    expect(marks(chart)).to_have_count(2)


def test_a_point_tells_its_numbers_under_the_mouse(opened):
    chart = figure(opened.page, "pareto")
    marks(chart).and_(chart.locator("[aria-label*='fast']")).hover()
    tooltip = opened.page.locator("#vg-tooltip-element")
    expect(tooltip).to_be_visible()
    assert "fast" in tooltip.inner_text()
    assert "666.7" in tooltip.inner_text()


def test_arrow_keys_walk_the_points_and_a_live_line_reads_them(opened):
    place = figure(opened.page, "pareto").locator(".drawing")
    read = []
    for key in ["ArrowRight"] * len(METHODS) + ["ArrowLeft"]:
        place.press(key)
        read.append(opened.page.locator("#live[aria-live=polite]").inner_text())
    assert sorted(text.partition(",")[0] for text in read[:-1]) == sorted(METHODS)
    assert read[-2].startswith("fast, ")
    assert read[-1] == read[-3]


def test_a_wheel_zooms_with_shift_only_and_a_change_of_axes_ends_it(opened):
    chart = figure(opened.page, "pareto")
    ticks = chart.locator(".role-axis-label text")
    whole, mouse = ticks.all_text_contents(), opened.page.mouse
    marks(chart).and_(chart.locator("[aria-label*='fast']")).hover()
    mouse.wheel(0, -300)
    expect(ticks).to_have_text(whole)
    figure(opened.page, "pareto")
    marks(chart).and_(chart.locator("[aria-label*='fast']")).hover()
    opened.page.keyboard.down("Shift")
    mouse.wheel(0, -300)
    expect(ticks).not_to_have_text(whole)
    opened.page.keyboard.up("Shift")
    for score in ("pixel_accuracy", "miou"):
        chart.locator("select[name=y]").select_option(score)
    expect(ticks).to_have_text(whole)


def test_an_axis_is_changed_and_stands_in_the_address(chromium, page):
    with chromium.open(page) as first:
        chart = figure(first.page, "pareto")
        drawing = chart.locator(".drawing")
        assert "images/s" in drawing.inner_text()
        chart.locator("select[name=x]").select_option(label="parameters [M]")
        expect(drawing).to_contain_text("parameters [M]")
        address = first.page.url
        assert first.faults() == []
    with chromium.open(page, fragment="#" + address.partition("#")[2]) as second:
        expect(figure(second.page, "pareto").locator(".drawing")).to_contain_text("parameters [M]")


@pytest.mark.parametrize(("format", "start"), [("SVG", b"<svg"), ("PNG", b"\x89PNG")])
def test_a_chart_is_saved_as_a_file(opened, format, start):
    chart = figure(opened.page, "differences")
    with opened.page.expect_download() as started:
        chart.get_by_role("button", name=f"as {format}").click()
    saved = started.value.path().read_bytes()
    assert saved.startswith(start)
    assert len(saved) > 5000
    assert started.value.suggested_filename.endswith(f"differences.{format.lower()}")


def test_the_numbers_of_a_chart_are_a_table_below_it(opened):
    chart = figure(opened.page, "differences")
    chart.locator("summary").press("Enter")
    expect(chart.locator("table:visible")).to_contain_text("unet+critic - unet")


def test_charts_are_drawn_again_in_dark(opened):
    chart = figure(opened.page, "pareto")

    def colour() -> str:
        return chart.locator("svg text").first.evaluate("text => getComputedStyle(text).fill")

    light = colour()
    opened.page.locator("#theme").click()
    expect(chart.locator("svg text").first).not_to_have_css("fill", light)


def test_two_pictures_are_wiped_by_key_and_by_mouse(opened):
    wipe = opened.page.locator(".wipe").first
    wipe.scroll_into_view_if_needed()
    above, slider = wipe.locator("img.above"), wipe.get_by_role("slider")
    slider.press("ArrowRight")
    expect(above).to_have_css("clip-path", "inset(0px 0px 0px 51%)")
    box = wipe.locator(".stage").bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 5)
    opened.page.mouse.up()
    expect(above).to_have_css("clip-path", "inset(0px 0px 0px 25%)")
    before = above.get_attribute("src")
    wipe.get_by_label("right of the line").select_option(label="input")
    assert above.get_attribute("src") != before
    assert above.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32


def test_pictures_are_made_when_they_are_opened(opened):
    sheets = opened.page.locator("details.image")
    assert sheets.count() == 2
    assert sheets.nth(1).locator("img").count() == 0
    sheets.nth(1).locator("summary").press("Enter")
    images = sheets.nth(1).locator("img")
    images.first.wait_for()
    assert images.count() > len(METHODS)
    decoded = "images => Promise.all(images.map(image => image.decode().then(() => image.alt)))"
    assert all(images.evaluate_all(decoded))


def test_columns_are_chosen_by_key(opened):
    page = opened.page
    hidden = board(page).locator("th", has_text="GFLOPs")
    assert hidden.is_hidden()
    page.locator("details.columns summary").first.press("Enter")
    page.locator("details.columns").get_by_label("GFLOPs").first.press("Space")
    assert hidden.is_visible()
    assert board(page).locator("tbody td:visible", has_text="15.8").count() == len(METHODS)


def test_its_address_restores_filter_columns_and_sorting(chromium, page):
    with chromium.open(page) as first:
        first.page.get_by_label("filter").fill("unet")
        board(first.page).get_by_role("button", name="method").click()
        first.page.locator("details.columns summary").first.click()
        first.page.locator("details.columns").get_by_label("GFLOPs").first.check()
        address, seen = first.page.url, names(first.page)
    with chromium.open(page, fragment="#" + address.partition("#")[2]) as second:
        assert second.page.get_by_label("filter").input_value() == "unet"
        assert names(second.page) == seen == ["unet", "unet+critic", "unet+critic~frozen"]
        assert board(second.page).locator("th", has_text="GFLOPs").is_visible()
        assert list(sorted_by(second.page)) == ["method"]
        assert second.faults() == []


@pytest.mark.parametrize("fragment", ["#t0.sort=99.up&t0.columns=x&filter=%F0", "#b0-trust", "#%", "#constructor=1"])
def test_any_address_opens(chromium, page, fragment):
    with chromium.open(page, fragment=fragment) as visit:
        assert visit.faults() == []
        assert board(visit.page).is_visible()


def test_dark_and_light_are_switched(opened):
    def background() -> str:
        return opened.page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = background()
    opened.page.locator("#theme").click()
    assert background() != light
    opened.page.locator("#theme").press("Enter")
    assert background() == light


def test_csv_is_saved_with_a_row_for_each_method(opened):
    with opened.page.expect_download() as started:
        opened.page.get_by_text("CSV").first.click()
    rows = list(csv.DictReader(started.value.path().read_text(encoding="utf-8").splitlines()))
    assert started.value.suggested_filename.endswith(".csv")
    assert {row["method"] for row in rows} == set(METHODS)


def test_without_javascript_tables_and_pictures_are_there(chromium, page):
    with chromium.open(page, java_script_enabled=False) as visit:
        assert sorted(names(visit.page)) == sorted(METHODS)
        assert visit.page.locator(".scripted").first.is_hidden()
        visit.page.locator("summary", has_text="Every cell").click()
        assert visit.page.locator("table:visible tr", has_text="segbench run").count() >= len(METHODS) * len(SEEDS)
        image = visit.page.locator("details.image[open] img").first
        assert image.evaluate("image => image.naturalWidth") > 0
        assert visit.requests == visit.messages == []


def test_on_paper_it_is_dark_on_light_without_controls(chromium, page):
    with chromium.open(page, color_scheme="dark") as visit:
        visit.page.emulate_media(media="print")
        assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") in (
            "rgb(255, 255, 255)",
            "rgba(0, 0, 0, 0)",
        )
        assert visit.page.locator("#filter").is_hidden()
        visit.page.set_viewport_size({"width": A4, "height": 1123})
        assert visit.overflow() == 0
        assert board(visit.page).is_visible()


def test_names_from_anybody_are_text(chromium, write_page, trained, adversarial, counted):
    cells = [
        counted(trained(name, seed).model_copy(update={"dataset": HOSTILE[0]}), [0.5 + place / 20] * 3)
        for place, name in enumerate(HOSTILE)
        for seed in SEEDS
    ]
    cells.append(adversarial(HOSTILE[0] * 2, recipe={"twin": HOSTILE[1]}, verdict="collapsed"))
    page = write_page(*cells)
    for width in (DESK, PHONE):
        with chromium.open(page, width=width) as visit:
            draw_all(visit.page)
            assert visit.faults() == []
            assert visit.overflow() == 0
            assert visit.page.evaluate("window.hacked") is None
            shown = board(visit.page).inner_text()
            assert all(name in shown for name in HOSTILE if name.isascii())
            assert "49" not in shown


def test_a_folder_without_a_result_has_a_page(chromium, write_page, failed):
    with chromium.open(write_page(*[failed("unet", seed) for seed in SEEDS])) as visit:
        assert visit.faults() == visit.inaccessible() == []
        assert "3 failed" in visit.page.locator(".answer").first.inner_text()
        assert "the loss is NaN at step 17" in visit.page.locator("main").inner_text()


def test_one_cell_has_a_page(chromium, write_page, trained):
    with chromium.open(write_page(trained())) as visit:
        assert visit.faults() == visit.inaccessible() == []
        assert names(visit.page) == ["unet"]


def test_records_of_an_older_schema_have_a_page(chromium, write_page, trained):
    nothing = {"definitions": {}, "evaluated": None, "cost": None, "train": None, "inference": [], "per_class": None}
    old = trained(environment={}, fields=nothing)
    with chromium.open(write_page(old.model_copy(update={"spec": {}}))) as visit:
        assert visit.faults() == visit.inaccessible() == []
        assert names(visit.page) == ["unet"]


def test_charts_far_from_the_screen_leave_a_page_of_many_nodes_and_come_back(opened):
    first = figure(opened.page, "differences")
    height = first.bounding_box()["height"]
    opened.page.evaluate("document.body.append(...Array.from({ length: 4000 }, () => document.createElement('i')))")
    draw_all(opened.page)
    assert first.locator(".drawing > *").count() == 0
    assert first.bounding_box()["height"] == height
    draw(first)
    assert marks(first).count()


def test_2000_cells_have_a_page_of_few_nodes(chromium, write_page, trained):
    cells = []
    for method in range(40):
        one = trained(f"method {method}", 0, 0.5 + method / 200)
        for seed in range(50):
            own = {"seed": seed, "key": f"{method:08x}{seed:08x}", "spec": {**one.spec, "seed": seed}}
            cells.append(one.model_copy(update=own))
    page = write_page(*cells)
    assert page.stat().st_size < 4_000_000
    with chromium.open(page) as visit:
        draw_all(visit.page)
        assert visit.count_nodes() <= 5000
        assert visit.faults() == []
        assert len(names(visit.page)) == 40


def test_ten_methods_without_pictures_fill_at_most_1_3_mb(tmp_path, adversarial, counted):
    cells = [
        counted(adversarial(f"method {place}", seed), [0.5 + place / 50 + image / 100 for image in range(IMAGES)])
        for place in range(10)
        for seed in SEEDS
    ]
    folder = write_shown(tmp_path, cells)
    for pictures in folder.glob("*/*/samples"):
        shutil.rmtree(pictures)
    assert len(to_html(load([folder])).encode()) <= 1_300_000
