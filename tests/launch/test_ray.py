from __future__ import annotations

import pytest

from segbench.errors import ComponentError, DataError, SegbenchError, SpecError
from segbench.execute.jobs import RunOptions
from segbench.execute.progress import NoProgress
from segbench.execute.workers import Event
from segbench.launch.mailbox import Mailbox
from segbench.launch.parcels import find_bases, pack, pack_cell, unpack
from segbench.launch.preparation import prepare
from segbench.launch.ray import run_on_ray
from segbench.launch.ray_cluster import Need, Node, find_nodes, need_of
from segbench.launch.ray_node import Preparation, find_data
from segbench.launch.settings import check_options
from segbench.plan.plan import open_plan
from segbench.registry import extras
from segbench.store.folder import ResultsFolder

from .conftest import make_cell


class Warnings:
    """A channel that keeps what it is warned of."""

    def __init__(self):
        self.messages = []

    def emit(self, event, **fields):
        self.messages.append((event, fields))

    def stop_requested(self):
        return False


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(SegbenchError, match=r"^ray: not installed here; pip install .*\[ray\]"):
        check_options("ray", {"address": "auto", "cpus": 2})


def test_a_cell_needs_a_cpu_for_each_thread_and_its_share_of_a_gpu():
    assert need_of(make_cell(threads=3), None, 0.25, 10**9) == Need(3, 0.25, 10**9)
    assert need_of(make_cell(threads=3), 2, 0, None) == Need(2)


def test_a_cell_of_two_processes_needs_a_whole_gpu_for_each():
    cell = make_cell(threads=3)
    protocol = cell.method.protocol.model_copy(update={"processes": 2})
    cell = cell.model_copy(update={"method": cell.method.model_copy(update={"protocol": protocol})})
    assert need_of(cell, None, 0.25, None) == Need(6, 2)


@pytest.mark.parametrize(
    ("need", "count"),
    [(Need(1), 8), (Need(3), 2), (Need(1, 0.25), 8), (Need(1, 0.5), 4), (Need(1, 0, 5 * 10**9), 3), (Need(9), 0)],
)
def test_a_node_has_room_for_as_many_cells_as_its_scarcest_part_allows(need, count):
    assert Node("a", "10.0.0.1", 8, 2, 16 * 10**9).count_fitting(need) == count


def test_a_cell_that_fits_on_no_node_is_told_with_what_they_have():
    nodes = [Node("a", "10.0.0.1", 2, 0, 8 * 10**9), Node("b", "10.0.0.2", 8, 0, 8 * 10**9)]
    assert find_nodes(nodes, [Need(4)]) == nodes[1:]
    with pytest.raises(SpecError, match=r"a cell needs 1 CPU, 1 GPU, which no node .*: 2 CPUs, 8 GB of memory; 8 CPUs"):
        find_nodes(nodes, [Need(4), Need(1, 1)])


def test_only_the_latest_process_that_does_a_task_is_heard():
    mailbox = Mailbox()
    mailbox.open("cell")
    mailbox.begin("cell", "10.0.0.1 77 aa")
    assert mailbox.exchange("cell", "10.0.0.1 77 aa", [Event("step", {"step": 1})]) == 0
    mailbox.begin("cell", "10.0.0.2 78 bb")
    assert mailbox.exchange("cell", "10.0.0.1 77 aa", [Event("step", {"step": 2})]) is None
    mailbox.ask_to_stop("cell")
    assert mailbox.exchange("cell", "10.0.0.2 78 bb", [Event("step", {"step": 3})]) == 1
    (_, first), (_, warning), (_, last) = mailbox.collect()
    assert [first.fields, last.fields] == [{"step": 1}, {"step": 3}]
    assert "the node 10.0.0.1 was lost" in warning.fields["message"]
    assert mailbox.collect() == []


def test_a_task_that_was_given_up_is_not_wanted_whoever_does_it():
    mailbox = Mailbox()
    mailbox.open("cell")
    mailbox.begin("cell", "10.0.0.1 77 aa")
    mailbox.close("cell")
    mailbox.begin("cell", "10.0.0.2 78 bb")
    mailbox.ask_to_stop("cell")
    assert mailbox.exchange("cell", "10.0.0.1 77 aa", []) is None
    assert mailbox.exchange("cell", "10.0.0.2 78 bb", [Event("step", {})]) is None
    assert mailbox.collect() == []


def test_files_arrive_as_they_were_without_links_and_temporary_ones(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("model.safetensors", "samples/one.png", "tmp-0123abcd/left"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(name.encode())
    (source / "link").symlink_to(source / "model.safetensors")
    unpack(pack(source), target)
    found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == {name: name.encode() for name in ("model.safetensors", "samples/one.png")}


def test_what_arrives_leaves_other_names_of_a_file_alone(tmp_path):
    (tmp_path / "earlier").write_bytes(b"old")
    (tmp_path / "attempt").mkdir()
    (tmp_path / "attempt" / "checkpoint").hardlink_to(tmp_path / "earlier")
    unpack({"checkpoint": b"new"}, tmp_path / "attempt")
    assert (tmp_path / "earlier").read_bytes() == b"old"


def test_a_recorded_cell_travels_with_its_record(recorded_cell, tmp_path):
    place = recorded_cell.parent
    files = place / recorded_cell.stem
    unpack(pack_cell(files, place), tmp_path / "node")
    arrived = tmp_path / "node" / recorded_cell.name
    assert arrived.read_bytes() == recorded_cell.read_bytes()
    assert (arrived.with_suffix("") / "counts.parquet").read_bytes() == (files / "counts.parquet").read_bytes()
    assert find_bases(files) == [files]


def test_data_that_is_elsewhere_on_a_node_is_found_in_its_own_folder(tmp_path, monkeypatch):
    cell = make_cell()
    placed = cell.model_copy(update={"dataset": cell.dataset.model_copy(update={"root": str(tmp_path / "run")})})
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path / "node"))
    assert find_data(placed).dataset.root == str(tmp_path / "node" / "shapes")
    (tmp_path / "run").mkdir()
    assert find_data(placed) == placed
    assert find_data(cell) == cell


@pytest.fixture
def cell():
    opened = open_plan("shapes-smoke", only=["fcn"], seeds=[0], threads=1)
    return opened.cells[0]


def test_a_node_with_the_same_code_and_data_is_prepared(cell):
    channel = Warnings()
    environment = prepare(Preparation(cells=(cell,), device="cpu"), channel)
    assert (environment["device"], channel.messages) == ("cpu", [])


def test_a_node_with_other_code_or_data_says_what_differs(cell):
    other = cell.model_copy(update={"sources": dict.fromkeys(cell.sources, "0" * 16)})
    other = other.model_copy(update={"key": "0" * 16})
    with pytest.raises(SpecError, match="the source code of dataset data/shapes differs"):
        prepare(Preparation(cells=(other,), device="cpu"), Warnings())
    other = cell.model_copy(update={"fingerprint": "0" * 32, "key": "0" * 16})
    with pytest.raises(SpecError, match="the data of 'shapes' differs"):
        prepare(Preparation(cells=(other,), device="cpu"), Warnings())


def test_a_node_without_the_plugin_or_the_data_says_so(cell, tmp_path):
    use = cell.method.generator.model_copy(update={"use": "absent/net"})
    other = cell.model_copy(update={"method": cell.method.model_copy(update={"generator": use})})
    with pytest.raises(ComponentError, match="absent"):
        prepare(Preparation(cells=(other,), device="cpu"), Warnings())
    use = cell.dataset.model_copy(update={"use": "data/camvid", "options": {}, "root": str(tmp_path / "absent")})
    with pytest.raises(DataError, match="there is no folder"):
        prepare(Preparation(cells=(cell.model_copy(update={"dataset": use}),), device="cpu"), Warnings())


def launch_ray(cells, folder, **settings):
    options = RunOptions(**{"device": "cpu", **settings})
    return run_on_ray(cells, folder, options, address=None, cpus=None, listener=NoProgress())


def test_a_run_with_nothing_left_starts_no_cluster(tmp_path):
    assert launch_ray([], ResultsFolder(tmp_path, "bench")).records == ()


def test_ray_cannot_place_cells_that_are_measured_only_when_they_run(cell, tmp_path):
    with pytest.raises(SpecError, match=r"^--jobs auto: with --on ray, .* give a number$"):
        launch_ray([cell], ResultsFolder(tmp_path, "bench"), device="cuda", jobs="auto")


def test_a_device_by_its_number_is_refused_as_ray_chooses_it(cell, tmp_path):
    with pytest.raises(SpecError, match="--device cuda:1: with --on ray, Ray chooses the GPU"):
        launch_ray([cell], ResultsFolder(tmp_path, "bench"), device="cuda:1")
