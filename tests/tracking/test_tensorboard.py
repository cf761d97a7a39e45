"""TensorBoard reads what is mirrored, through its own reader."""

from __future__ import annotations

import subprocess
import sys

import pytest

from segbench.report.cells import RecordedCell
from segbench.tracking.mirror import Mirror

from .conftest import BEGAN, FAILED, KEY, make_record, step

pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
NAME = f"bench shapes a seed 3 {KEY}"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def mirror(place):
    return Mirror(f"tensorboard={place}")


def read(place):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(place / NAME), size_guidance={"scalars": 0})
    return found.Reload()


def test_curves_scores_and_the_recipe_of_a_cell_are_there(recorded, mirror, place):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    assert mirror.replay(recorded)
    found = read(place)
    assert [(one.step, one.wall_time) for one in found.Scalars("train/loss")] == [
        (step, BEGAN + step) for step in (3, 5, 9)
    ]
    assert [one.value for one in found.Scalars("train/loss")] == pytest.approx([0.9, 0.7, 0.6])
    assert found.Scalars("test/miou")[0].value == 0.5
    assert found.Scalars("test iou/0 sky/sea")[0].value == 0.25
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    recipe = HParamsPluginData.FromString(content).session_start_info.hparams
    assert (recipe["generator.options.width"].number_value, recipe["status"].string_value) == (2, "ok")


def test_what_is_there_stays_and_what_has_changed_replaces_it(recorded, mirror, place, folder, write_events):
    mirror.replay(recorded)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert not mirror.replay(recorded)
    assert not Mirror(f"tensorboard={place}").replay(recorded)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert mirror.replay(RecordedCell(make_record(method="b", **FAILED), folder))
    assert [path.name for path in place.iterdir()] == [NAME]  # by its key, whatever it is called
    assert read(place).Tags()["scalars"] == ["train/loss", "train/images_per_second", "val/miou"]


def test_a_name_leads_nowhere_else(mirror, place, folder):
    mirror.replay(RecordedCell(make_record(benchmark="../..", method="/etc/\ud800\x1b", dataset="x" * 300), folder))
    (found,) = place.iterdir()
    assert found.name.endswith(KEY)


def test_numbers_beyond_single_precision_are_infinite(mirror, place, folder, write_events):
    write_events(step(1, 1e299))
    mirror.replay(RecordedCell(make_record(), folder))
    assert read(place).Scalars("train/loss")[0].value == float("inf")


def test_no_torch_is_needed(place):
    opened = f"import sys; from segbench.tracking.mirror import Mirror; Mirror('tensorboard={place}')"
    program = [sys.executable, "-c", f"{opened}; print('torch' in sys.modules)"]
    assert subprocess.run(program, capture_output=True, text=True, check=True).stdout == "False\n"
