from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from segbench.errors import RecordError
from segbench.report.judging.material import find_material, spoil
from segbench.report.judging.page import make_page

METHODS = ["good", "fair", "poor"]


def page_of(root, images=None, **choices):
    return make_page(find_material([root], METHODS), images, 0, **choices)


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def test_the_page_names_no_method_and_no_cell(kept):
    page = page_of(kept())
    keys = {shown.cell for look in page.plan.looks for shown in look.shown}
    assert not [name for name in (*METHODS, *keys) if re.search(rf"\b{name}\b", page.html)]


def test_the_page_holds_the_pictures_of_what_is_dealt(kept):
    page = page_of(kept(), 2)
    data = data_of(page.html)
    assert data["plan"] == page.plan.hash
    assert len(data["images"]) == 2
    assert len(data["deals"]) == len(page.plan.deals)
    head, content = data["maps"][data["deals"][0][1]].split(",")
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert head == "data:image/png;base64"
    assert picture.size == (24, 24)
    assert {tuple(colour) for colour in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()} == {
        (0, 0, 0),
        (255, 200, 0),
    }


def test_a_sham_is_dealt_as_the_prediction_and_itself_spoilt(kept):
    page = page_of(kept())
    data = data_of(page.html)
    (place, deal) = next((place, deal) for place, deal in enumerate(page.plan.deals) if deal.kind == "sham")
    _, left, right = data["deals"][place]
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data["maps"][at].split(",")[1])))) for at in (left, right)
    ]
    spoilt, fine = shown if deal.left == -1 else reversed(shown)
    assert (spoilt == spoil(fine, 2)).all()


def test_names_of_classes_stay_text(kept):
    html = page_of(kept(classes=("</script><script>alert(1)</script>", "cell"))).html
    assert "<script>alert" not in html
    assert data_of(html)["classes"][0][0] == "</script><script>alert(1)</script>"


def test_the_same_page_is_made_again(kept):
    root = kept()
    assert page_of(root).html == page_of(root).html


def test_more_images_than_were_kept_are_refused(kept):
    with pytest.raises(RecordError, match=r"--images 7: .* 6 images .*write --images 6; .*protocol\.keep\.samples"):
        page_of(kept(), 7)


def test_a_page_larger_than_it_may_be_says_how_many_images_fit(kept):
    root = kept()
    size = len(page_of(root).html.encode()) / 1e6
    with pytest.raises(RecordError, match=r"would have 0\.\d MB.* about 5 images fit: write --images 5"):
        page_of(root, megabytes=0.9 * size)


def test_methods_that_always_agree_leave_nothing_to_judge(kept):
    root = kept((("good", 0), ("fair", 0), ("poor", 0)))
    with pytest.raises(RecordError, match="all label maps are the same"):
        page_of(root)


def test_a_spoilt_label_map_is_right_almost_nowhere():
    labels = np.zeros((9, 9), dtype=np.uint8)
    labels[2:5, 2:5] = 1
    assert (spoil(labels, 2) == labels).mean() < 0.25
    assert (spoil(np.full((9, 9), 255, dtype=np.uint8), 2) == 255).all()
