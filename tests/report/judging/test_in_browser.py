"""The page in headless Chromium: people vote by keyboard, save, go on, and the votes are imported."""

from __future__ import annotations

import pytest

from segbench.report.judging.material import find_material
from segbench.report.judging.page import make_page
from segbench.report.judging.votes import import_votes
from segbench.store.judgements import read_ballot, write_plan

from ...browser import DESK, PHONE  # noqa: TID252 - tests have no absolute name

METHODS = ["good", "fair", "poor"]


@pytest.fixture
def made(kept, tmp_path):
    """Write a page and return its path, its plan and the folder of the plan."""
    root = kept()
    page = make_page(find_material([root], METHODS), 6, 0)
    path = tmp_path / "judge.html"
    path.write_text(page.html)
    write_plan(root / "camvid", page.plan)
    return path, page.plan, root / "camvid"


def save(page, path):
    with page.expect_download() as download:
        page.keyboard.press("s")
    download.value.save_as(path)
    return path


def test_ten_pairs_are_voted_on_by_keyboard_saved_and_imported(chromium, made, tmp_path):
    path, plan, folder = made
    with chromium.open(path) as visit:
        for key in ("a", "ArrowRight", "=", "b", "ArrowLeft", "a", "u", "Backspace", "=", "b", "A", "a", "=", "2"):
            visit.page.keyboard.press(key)
        assert visit.page.locator("#count").inner_text() == f"9 of {len(plan.deals)}"
        visit.page.get_by_role("button", name="No difference").click()
        visit.page.get_by_label("your name").fill("Zoë <b>")
        visit.page.locator("h1").click()
        saved = save(visit.page, tmp_path / "votes.json")
        assert visit.faults() == []
    choices = ["left", "right", "tie", "right", "tie", "right", "left", "left", "tie", "tie"]
    ballot = read_ballot(saved)
    assert [answer.choice for answer in ballot.answers] == choices
    assert ballot.name == "Zoë <b>"
    assert import_votes([folder], [saved]) == [(folder, plan)]


def test_a_saved_file_is_gone_on_with(chromium, made, tmp_path):
    path, plan, _ = made
    with chromium.open(path) as visit:
        for _ in range(4):
            visit.page.keyboard.press("a")
        saved = save(visit.page, tmp_path / "votes.json")
    with chromium.open(path) as visit:
        visit.page.locator("#load").set_input_files(saved)
        visit.page.wait_for_function("document.getElementById('count').textContent.startsWith('4')")
        for _ in range(len(plan.deals) - 4):
            visit.page.keyboard.press("b")
        assert visit.page.get_by_text("That was all").is_visible()
        whole = read_ballot(save(visit.page, tmp_path / "whole.json"))
    assert whole.voter == read_ballot(saved).voter
    assert {answer.deal for answer in whole.answers} == set(range(len(plan.deals)))


def test_a_changed_file_is_not_gone_on_with(chromium, made, tmp_path):
    path, _, _ = made
    with chromium.open(path) as visit:
        visit.page.keyboard.press("a")
        saved = save(visit.page, tmp_path / "votes.json")
        saved.write_bytes(saved.read_bytes().replace(b'"left"', b'"tie" '))
        visit.page.locator("#load").set_input_files(saved)
        visit.page.get_by_text("votes.json cannot be used: it was changed since it was saved.").wait_for()


def test_both_sides_are_enlarged_around_the_same_place(chromium, made):
    with chromium.open(made[0]) as visit:
        pictures = visit.page.locator(".picture")
        pictures.nth(0).click(position={"x": 10, "y": 20})
        sizes = [pictures.nth(side).locator(".labels").bounding_box()["width"] for side in (0, 1)]
        outer = pictures.nth(1).bounding_box()["width"]
        assert sizes == pytest.approx([3 * outer] * 2, rel=0.01)
        visit.page.keyboard.press("z")
        assert pictures.nth(1).locator(".labels").bounding_box()["width"] == pytest.approx(outer, rel=0.01)
        assert visit.faults() == []


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "dark"), (DESK, "light"), (DESK, "dark")])
def test_the_page_fits_and_is_accessible(chromium, made, width, scheme):
    with chromium.open(made[0], width=width, color_scheme=scheme) as visit:
        assert visit.overflow() <= 0
        assert visit.inaccessible() == []
        assert visit.faults() == []
