from __future__ import annotations

import subprocess
import sys

import pytest

from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset

OPENED = """
import sys
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
offers = load_registry().offers("dataset")
listed = {"torch", "torchvision", "numpy", "PIL"} & set(sys.modules)
offer = next(offer for offer in offers if offer.full_name == "data/nuclei")
open_dataset(offer, None, {}).splits["train"][0]
print(listed, {"torch", "torchvision"} & set(sys.modules))
"""


def test_the_plugin_offers_its_nine_datasets():
    names = [offer.component.name for offer in load_registry().offers("dataset") if offer.plugin == "data"]
    assert names == ["camvid", "cityscapes", "drive", "folder", "isic", "nuclei", "oxford_pets", "shapes", "voc2012"]


def test_listing_loads_nothing_heavy_and_reading_never_loads_torch():
    done = subprocess.run([sys.executable, "-c", OPENED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() set()"


@pytest.mark.parametrize(("name", "options"), [("nuclei", {}), ("shapes", {"size": [20, 30], "bits": 16})])
def test_datasets_without_root_open_from_a_benchmark_file_s_options(name, options):
    dataset = open_dataset(load_registry().find("dataset", f"data/{name}"), None, options)
    assert len(dataset.splits["train"][0].labels.shape) == 2
