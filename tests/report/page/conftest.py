from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench import Dataset
from segbench.engine.pictures.drawing import label_map, panel, save_picture
from segbench.store.description import DATASET, description_of
from segbench.store.pictures import SAMPLES, picture_path


@pytest.fixture
def nothing_printed(capfd):
    """Fail if anything was printed, as the compiler of charts does when it warns."""
    yield
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.fixture
def keep_pictures():
    """Put pictures of some images into the folders of cells as they leave them, and dataset.json beside them."""

    def keep(report, ids, *, truth=True, critic=False, size=(24, 32), **description):
        rng = np.random.default_rng(0)
        palette = ((0, 0, 0), (255, 200, 0))
        dataset = Dataset(("ground", "thing"), palette, {}, **description)
        for record in (one for group in report.groups for row in group.rows for one in row.records):
            folder = report.folder_of(record)
            folder.mkdir(exist_ok=True)
            (folder / DATASET).write_text(description_of(dataset).model_dump_json())
            for image in ids:
                pixels = rng.integers(0, 256, (3, *size), dtype=np.uint8)
                true, predicted = (rng.integers(0, 2, size, dtype=np.uint8) for _ in range(2))
                true[0] = dataset.ignore_index
                pictures = {
                    "": label_map(predicted, palette, dataset.ignore_index),
                    ".panel": Image.fromarray(panel(pixels, true, predicted, palette)),
                    **({".truth": label_map(true, palette, dataset.ignore_index)} if truth else {}),
                    **({".critic": Image.new("RGB", (64, 48))} if critic and record.health else {}),
                }
                for kind, picture in pictures.items():
                    save_picture(picture, picture_path(folder / SAMPLES, image, kind))

    return keep
