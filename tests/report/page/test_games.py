from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from segbench.engine.pictures.drawing import save_picture
from segbench.report import load
from segbench.report.page.embedding import Allowance
from segbench.report.page.games import MOST_GRIDS, games
from segbench.report.page.page import to_html
from segbench.store.pictures import SAMPLES, grid_name

NASTY = "<script>alert(1)</script>\"'&"


@pytest.fixture
def keep_grids(keep_pictures):
    """Put grids of generated images into the folders of cells, and dataset.json beside them."""

    def keep(report, steps, **description):
        keep_pictures(report, [], **description)
        rng = np.random.default_rng(0)
        for group in report.groups:
            for record in (one for row in group.rows for one in row.records):
                for name in (*map(grid_name, steps), "last.png", "nearest.png"):
                    grid = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
                    save_picture(grid, report.folder_of(record) / SAMPLES / name)

    return keep


@pytest.fixture
def report(generating, results, keep_grids):
    """A generator of images over two seeds, with grids of more steps than are shown."""
    found = load([results(generating(seed=0), generating(seed=1, verdict="collapsed"))])
    keep_grids(found, range(100, 100 * (MOST_GRIDS + 3), 100))
    return found


def test_every_game_has_its_verdict_and_the_rule_that_spoke(trained, adversarial, results):
    report = load([results(trained(), adversarial(), adversarial(seed=1, verdict="saturated"))])
    summary, by_seed = games(report).tables
    assert summary.rows[0][:2] == ["unet+critic", "1 healthy, 1 saturated"]
    assert [row[:4] for row in by_seed.rows] == [
        ["unet+critic", "0", "healthy", "it is healthy"],
        ["unet+critic", "1", "saturated", "it is saturated"],
    ]


def test_without_a_discriminator_there_is_no_room(trained, results):
    assert games(load([results(trained())])) is None


def test_grids_show_the_course_of_training_from_the_first_to_the_last(report):
    room = games(report)
    kinds = re.findall(r"<figcaption>(.*?)</figcaption>", room.html)
    assert kinds[0] == "step 100"
    assert kinds[-3:] == [f"step {100 * (MOST_GRIDS + 2)}", "after training", "beside the nearest of train"]
    assert len(kinds) == MOST_GRIDS + 2
    assert room.tables[-1].title == "Generated images"


def test_training_images_that_may_not_be_passed_on_are_left_out(generating, results, keep_grids):
    report = load([results(generating())])
    keep_grids(report, [1], redistributable=False)
    room = games(report)
    assert re.findall(r"<figcaption>(.*?)</figcaption>", room.html) == ["step 1", "after training"]
    assert "are left out" in room.notes[0]
    assert "nearest of train" in games(report, Allowance(private=True)).html


def test_grids_hold_at_most_a_quarter_of_what_the_page_may(report):
    def count(allowance):
        return sum(map(len, re.findall(r'src="(data:[^"]+)"', games(report, allowance).html)))

    whole = count(Allowance())
    assert 0 < count(Allowance(bytes=4 * whole - 4)) < whole
    assert count(Allowance(bytes=0)) == 0


def test_what_cannot_be_read_costs_nothing_else(report):
    folder = report.folder_of(report.groups[0].rows[0].records[0]) / SAMPLES
    (folder / "last.png").write_bytes(b"no picture")
    (folder / "step-1.png.png").write_bytes(b"")
    (folder / "step-x.png").write_bytes(b"")
    assert "step 100" in games(report).html


def test_names_of_anybody_come_out_as_text(generating, results, keep_grids):
    report = load([results(generating(NASTY))])
    keep_grids(report, [1])
    assert "<script" not in games(report).html


def test_a_slider_walks_through_training(report, tmp_path, chromium):
    path = tmp_path / "page.html"
    path.write_text(to_html(report))
    with chromium.open(path) as visit:
        slider = visit.page.get_by_label("when in training")
        slider.press("Home")
        assert visit.page.locator("figure.wipe figcaption").inner_text() == "step 100"
        slider.press("End")
        assert slider.get_attribute("aria-valuetext") == "beside the nearest of train"
        assert visit.faults() == []
        assert visit.inaccessible() == []
