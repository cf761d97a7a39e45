"""MLflow finds what is mirrored in a database in a file."""

from __future__ import annotations

import pytest

from segbench.errors import SegbenchError
from segbench.report.cells import RecordedCell
from segbench.tracking.mirror import Mirror, mirroring

from .conftest import BEGAN, CELL, FAILED, KEY, make_record, step

for library in ("mlflow", "sqlalchemy", "alembic"):
    pytest.importorskip(library, reason="needs the extra mlflow")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of MLflow and its libraries


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The file of a database with its tables, which take seconds to create."""
    return tmp_path_factory.mktemp("mlflow") / "mlflow.db"


@pytest.fixture
def place(database, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return f"sqlite:///{database}"


@pytest.fixture
def client(place):
    from mlflow import MlflowClient

    return MlflowClient(place)


@pytest.fixture
def cell(recorded, request):
    """The recorded cell in a benchmark, and so an experiment, of its own."""
    return in_benchmark(recorded, request.node.name)


def in_benchmark(cell, benchmark, **changes):
    return RecordedCell(make_record(benchmark=benchmark, **changes), cell.folder)


def runs(client, cell):
    return client.search_runs([client.get_experiment_by_name(cell.record.benchmark).experiment_id])


def history(client, cell, name):
    (run,) = runs(client, cell)
    return [(one.step, one.value, one.timestamp) for one in client.get_metric_history(run.info.run_id, name)]


def test_a_run_has_the_recipe_the_curves_and_the_scores_of_its_cell(cell, client, place):
    assert Mirror(f"mlflow={place}").replay(cell)
    (run,) = runs(client, cell)
    assert (run.info.run_name, run.info.status) == ("shapes / a / seed 3", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (1000 * BEGAN, 1000 * (BEGAN + 10))
    assert run.data.params["generator.options.width"] == "2"
    assert run.data.tags["segbench.key"] == KEY
    assert run.data.tags["segbench.health"] == "inert"
    assert run.data.metrics["test/miou"] == 0.5
    assert run.data.metrics["test iou/0 sky/sea"] == 0.25
    assert history(client, cell, "train/loss") == [
        (step, loss, 1000 * (BEGAN + step)) for step, loss in ((3, 0.9), (5, 0.7), (9, 0.6))
    ]


def test_a_cell_that_is_mirrored_again_is_the_same_run_with_the_same_points(cell, client, place, write_events):
    mirror = Mirror(f"mlflow={place}")
    mirror.replay(cell)
    (before,) = runs(client, cell)
    assert not mirror.replay(cell)
    assert not Mirror(f"mlflow={place}").replay(cell)
    failed = in_benchmark(cell, cell.record.benchmark, **FAILED)
    assert mirror.replay(failed)
    (after,) = runs(client, cell)
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FAILED")
    assert after.data.tags["segbench.cause"] == "out of memory \\u001b"
    assert len(history(client, cell, "train/loss")) == 3


def test_a_run_that_was_stopped_goes_on_as_the_same_run(cell, client, place):
    mirror = Mirror(f"mlflow={place}")
    mirror.replay(in_benchmark(cell, cell.record.benchmark, **{**FAILED, "status": "interrupted"}))
    assert [run.info.status for run in runs(client, cell)] == ["KILLED"]
    mirror.replay(cell)
    assert [run.info.status for run in runs(client, cell)] == ["FINISHED"]


def test_a_run_mirrors_its_cells_from_a_thread_of_its_own(recorded, client, place):
    with mirroring(f"mlflow={place}", recorded.folder, [CELL], pytest.fail):
        pass
    assert len(history(client, recorded, "train/loss")) == 3


def test_whatever_a_record_holds_can_be_stored(recorded, client, place, write_events):
    write_events(*(step(number, 1e299) for number in range(10, 1500)))
    spec = {"method": {"generator": {"options": {f"a/../{n}": "x" * 9000 for n in range(150)}, "use": "\ud800"}}}
    names = {"dataset": "\x1b[31m", "method": "x" * 1000, "spec": spec}
    evaluated = make_record().evaluated.model_copy(update={"classes": ["..", "\ud800" * 300]})
    cell = in_benchmark(recorded, "'; drop table runs --", evaluated=evaluated, **names)
    assert Mirror(f"mlflow={place}").replay(cell)
    (run,) = runs(client, cell)
    assert len(run.data.params) > 150
    assert len(history(client, cell, "train/loss")) == 1493


def test_a_server_that_does_not_answer_is_told_soon(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SegbenchError, match=r"^mlflow=http://127.0.0.1:9: it cannot be opened: MlflowException: "):
        Mirror("mlflow=http://127.0.0.1:9")
