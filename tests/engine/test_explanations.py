from __future__ import annotations

import numpy as np
import torch

from segbench.engine.captions import tile_size
from segbench.engine.explanations import critic_picture, draw_evidence, draw_scores, evidence_picture
from segbench.engine.heat import diverging_table
from segbench.engine.prediction import Prediction

PALETTE = [(0, 0, 0), (200, 0, 0), (0, 200, 0)]
CLASSES = ("road", "sky", "tree")
IMAGE = np.full((1, 30, 40), 100, dtype=np.uint8)
LABELS = np.zeros((30, 40), dtype=np.uint8)
LABELS[10:, :20] = 2


def tiles_of(picture):
    """The columns of the tiles in a row of tiles, without their gaps."""
    height, width = tile_size(30, 40)
    return [picture[28 : 28 + height, 8 + place * (width + 8) :][:, :width] for place in (0, 1, 2)]


def test_evidence_is_shown_for_each_class_that_is_there_beside_the_prediction():
    evidence = {0: np.zeros((30, 40), dtype=np.float32), 2: np.ones((30, 40), dtype=np.float32)}
    picture = draw_evidence(IMAGE, LABELS, evidence, CLASSES, PALETTE, "head")
    height, width = tile_size(30, 40)
    assert picture.shape[1] == 3 * (width + 8) + 8
    prediction, first, second = (tile.astype(int) for tile in tiles_of(picture))
    assert prediction[0, 0].tolist() == [50, 50, 50]
    assert prediction[-1, 0].tolist() == [50, 150, 50]
    assert first[0, 0, 2] > first[0, 0, 0]  # bluish: no evidence
    assert second[0, 0, 0] > second[0, 0, 2]  # yellowish: the strongest
    assert second.shape[:2] == (height, width)


def test_scores_above_the_boundary_are_blue_and_below_it_orange():
    scores = np.where(np.arange(40) < 30, -1.0, 0.5) * np.ones((30, 1))
    _, heat, _ = tiles_of(draw_scores(IMAGE, np.zeros_like(LABELS), scores, PALETTE, boundary=0.0))
    assert heat[0, 0].tolist() == diverging_table()[0].tolist()
    red, _, blue = heat[0, -1].astype(int)
    assert blue > red


def test_without_a_boundary_the_median_is_white():
    scores = np.full((30, 40), 7.0)
    scores[:5] = 9.0
    _, heat, _ = tiles_of(draw_scores(IMAGE, np.zeros_like(LABELS), scores, PALETTE, boundary=None))
    assert heat[-1, 0].min() > 240
    assert heat[0, 0].tolist() == diverging_table()[-1].tolist()


def test_the_regions_that_were_predicted_are_outlined():
    _, heat, _ = tiles_of(draw_scores(IMAGE, LABELS, np.zeros((30, 40)), PALETTE, boundary=0.0))
    assert (heat[100] == 0).all(axis=1).sum() == 1


def test_a_critic_may_score_at_a_coarser_resolution():
    prediction = Prediction(torch.zeros(1, 3, 30, 40), torch.zeros(1, 3, 30, 40), averaged=False)
    picture = critic_picture(lambda images, logits: torch.ones(1, 1, 3, 4), None, prediction, IMAGE, PALETTE)
    assert picture.dtype == np.uint8


def test_a_network_without_a_fitting_layer_has_no_picture():
    prediction = Prediction(torch.zeros(1, 3, 30, 40), torch.zeros(1, 3, 30, 40), averaged=False)
    assert evidence_picture(torch.nn.Identity(), prediction, IMAGE, CLASSES, PALETTE) is None
