from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.report import load
from segbench.report.page.embedding import Allowance
from segbench.report.page.page import to_html
from segbench.report.page.pictures import pictures
from segbench.store.pictures import SAMPLES, picture_path

IDS = [f"image {number:03}" for number in range(4)]
NASTY = "<script>alert(1)</script>\"'&"


@pytest.fixture
def make(trained, adversarial, counted, results):
    """The report of a critic and its twin over two seeds, on five images."""

    def make(**choices):
        cells = [counted(trained(seed=seed, **choices), [0.5] * 5) for seed in (0, 1)]
        cells += [counted(adversarial(seed=seed, **choices), [0.6, 0.5, 0.2, 0.55, 0.5]) for seed in (0, 1)]
        return load([results(*cells)])

    return make


@pytest.fixture
def report(make, keep_pictures):
    found = make()
    keep_pictures(found, IDS, critic=True)
    return found


def kinds(room):
    return re.findall(r'data-kind="([^"]+)"', room.html)


def test_a_row_holds_input_truth_and_of_each_method_prediction_errors_and_boundaries(report):
    room = pictures(report)
    of_a_method = ["prediction", "errors", "boundaries"]
    assert kinds(room) == ["input", "truth", *2 * of_a_method, "discriminator of unet+critic"] * len(IDS)
    assert "4 of the 4 images that cells kept, of 5 evaluated" in room.html
    assert re.findall(r"<summary>(.*?)</summary>", room.html)[0] == (
        "image 002 · unet+critic - unet: -22.22 points, mean over 2 seeds"
    )
    assert "<b>unet+critic</b><small>mIoU 11.11, seed 0</small>" in room.html
    assert "thing 50.00 %" in room.html


def test_cells_of_older_versions_show_the_truth_of_their_panels(make, keep_pictures):
    report = make()
    keep_pictures(report, IDS)
    new = pictures(report).html
    for path in report.folders[0].glob("*/samples/*.truth.png"):
        path.unlink()
    for path in report.folders[0].glob("*/samples/*.panel.png"):
        panel = np.asarray(Image.open(path))
        Image.fromarray(panel[-24:]).save(path)  # without titles
    assert pictures(report).html == new


def test_a_cell_of_label_maps_alone_is_shown_beside_the_images_of_another_one(report):
    everything = len(kinds(pictures(report)))
    (twin,) = {record.key for record in report.groups[0].rows[0].records if record.seed == 0}
    for path in report.folders[0].glob(f"{twin}/**/*"):
        if path.name in {"dataset.json", *(f"{image}.{kind}.png" for image in IDS for kind in ("panel", "truth"))}:
            path.unlink()
    assert len(kinds(pictures(report))) == everything
    for path in report.folders[0].glob("*/samples/*.panel.png"):
        path.unlink()
    assert pictures(report) is None


def test_pictures_hold_no_more_bytes_than_allowed_and_the_page_says_what_it_shows(report):
    uris = re.findall(r'src="(data:[^"]+)"', pictures(report).html)
    whole = sum(map(len, uris))
    room = pictures(report, Allowance(bytes=whole - 1))
    assert sum(map(len, re.findall(r'src="(data:[^"]+)"', room.html))) < whole
    assert "3 of the 4 images that cells kept, of 5 evaluated (--pictures-mb makes room for more)" in room.html
    assert "data:" not in pictures(report, Allowance(bytes=0)).html


def test_several_benchmarks_share_what_a_page_may_hold(trained, counted, results, keep_pictures):
    cells = [counted(trained(benchmark=name), [0.5] * 5) for name in ("one", "two")]
    report = load([results(*cells)])
    keep_pictures(report, IDS)
    whole = sum(map(len, re.findall(r'src="(data:[^"]+)"', to_html(report))))
    html = to_html(report, allowance=Allowance(bytes=whole * 3 // 4))
    assert sum(map(len, re.findall(r'src="(data:[^"]+)"', html))) <= whole * 3 // 4
    shown = [int(number) for number in re.findall(r"(\d) of the 4 images", html)]
    assert [0 < number < 4 for number in shown] == [True, True]


@pytest.mark.parametrize("kind", ["", ".panel", ".truth", ".critic"])
@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_picture_that_cannot_be_read_costs_nothing_else(report, kind, content):
    for folder in set(report.cell_folders.values()):
        picture_path(folder / SAMPLES, "image 002", kind).write_bytes(content)
    html = pictures(report).html
    assert "image 001" in html
    is_input = kind in (".panel", ".truth")
    assert ("3 of the 4 images that cells kept, of 5 evaluated (pictures of the others are" in html) is is_input


def test_images_that_may_not_be_passed_on_are_left_out_and_the_page_says_why(make, keep_pictures):
    report = make()
    keep_pictures(report, IDS, redistributable=False, licence="research only")
    room = pictures(report)
    assert "data:" not in room.html
    [note] = room.notes
    assert note.startswith(
        "The images of camvid are left out: its licence does not let them be passed on (research only)"
    )
    assert "data:" in pictures(report, Allowance(private=True)).html


def test_cells_of_older_versions_of_such_a_dataset_are_known_by_its_name(report):
    for path in report.folders[0].glob("*/dataset.json"):
        path.write_text(re.sub(r',"licence.*(?=})', "", path.read_text()))
    room = pictures(report)
    assert "data:" not in room.html
    assert "The images of camvid are left out" in room.notes[0]


def test_a_cell_that_was_trained_has_its_pictures_on_the_page_within_the_limit(recorded_cell):
    report = load([recorded_cell.parent])
    room = pictures(report)
    assert kinds(room) == ["input", "truth", "prediction", "errors", "boundaries"] * 4
    for limit in (0, 2_000, 5_000, 10_000):
        room = pictures(report, Allowance(bytes=limit))
        assert sum(map(len, re.findall(r'src="(data:[^"]+)"', room.html))) <= limit


def test_without_the_description_of_the_dataset_the_page_says_why_it_shows_nothing(make, keep_pictures):
    report = make(benchmark="shapes")
    keep_pictures(report, IDS)
    for path in report.folders[0].glob("*/dataset.json"):
        path.unlink()
    room = pictures(report, Allowance(private=True))
    assert "data:" not in room.html
    assert "dataset.json is missing or damaged, so its pictures have no classes." in room.notes[0]


def test_without_pictures_there_is_no_room(make):
    assert pictures(make()) is None


def test_names_of_anybody_come_out_as_text(trained, counted, results, keep_pictures):
    report = load([results(counted(trained(NASTY), [0.5] * 5))])
    keep_pictures(report, IDS)
    assert "<script" not in pictures(report).html


def test_the_options_of_pictures_are_for_pages(tmp_path):
    for option in (["--private"], ["--pictures-mb", "3"]):
        result = CliRunner().invoke(app, ["report", str(tmp_path), *option])
        assert result.exit_code == 2
        assert "cannot be used with --format table; allowed are html" in " ".join(
            result.output.replace("│", " ").split()
        )


def test_pictures_are_made_when_opened_and_wiped_with_the_keyboard(report, tmp_path, chromium):
    path = tmp_path / "page.html"
    path.write_text(to_html(report))
    with chromium.open(path) as visit:
        page = visit.page
        assert page.locator(".sheet").count() == 1
        page.locator("details.image summary").nth(1).click()
        page.locator(".wipe").nth(1).wait_for()
        above = page.locator(".stage .above").nth(1)
        assert above.evaluate("image => image.style.clipPath") == "inset(0px 0px 0px 50%)"
        page.locator(".wipe input").nth(1).press("ArrowRight")
        assert above.evaluate("image => image.style.clipPath") == "inset(0px 0px 0px 51%)"
        assert above.get_attribute("alt").startswith("prediction of unet+critic")
        page.get_by_label("right of the line").nth(1).select_option(label="truth")
        assert above.get_attribute("alt").startswith("true classes")
        page.locator(".sheet").nth(1).locator("img[data-kind=errors]").first.click()
        assert above.get_attribute("alt").startswith("errors of unet on")
        page.get_by_label("order of images").select_option(label="largest gains first")
        assert "image 000" in page.locator("details.image summary").first.inner_text()
        assert [fault for fault in visit.faults() if not fault.startswith("data:")] == []
        assert visit.inaccessible() == []


def test_without_javascript_pictures_stand_in_their_rows(report, tmp_path, chromium):
    path = tmp_path / "page.html"
    path.write_text(to_html(report))
    with chromium.open(path, java_script_enabled=False) as visit:
        assert visit.page.locator("details.image[open] .sheet img").count() == 8
