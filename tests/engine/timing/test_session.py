from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.timing import BUDGETS, Timing
from segbench.engine.job import TimingJob
from segbench.engine.timing.device_state import Nvml
from segbench.engine.timing.parts import Turn, Work, energy_part, row_part, sweep_part
from segbench.engine.timing.session import MethodTimer, time_cell
from segbench.errors import DataError, OutOfMemoryError, RecordError
from segbench.plan.cell import Cell
from segbench.store.folder import read_record

STAGES = ("forward", "argmax", "loading")
SHORT = Timing(iterations=3, seconds=0.001, max_seconds=0.01, sweep=2)


@pytest.fixture
def job(recorded_cell) -> TimingJob:
    """A timing of a recorded cell that is done at once."""
    cell = Cell.model_validate(read_record(recorded_cell).spec)
    folder = str(recorded_cell.with_suffix(""))
    return with_protocol(TimingJob(cell=cell, folder=folder, device="cpu"), timing=SHORT, batch_size=2)


def with_protocol(job, **changes):
    protocol = job.cell.method.protocol.model_copy(update=changes)
    method = job.cell.method.model_copy(update={"protocol": protocol})
    return job.model_copy(update={"cell": job.cell.model_copy(update={"method": method})})


def rows(measured):
    return [(row.batch, row.stage) for row in measured.inference]


def test_a_cell_is_timed_in_each_stage_at_batch_1_and_at_the_batch_of_its_protocol(job, recorder):
    measured = time_cell(job, recorder())
    assert rows(measured) == [(batch, stage) for batch in (1, 2) for stage in STAGES]
    for row in measured.inference:
        assert row.size == (48, 64)  # of whole images, not of the crop of 32 x 48
        assert row.budget == "reduced"
        assert row.images_per_second > 0
        assert all(block > 0 for block in row.blocks)
        assert 0 < row.latency_ms.p50 <= row.latency_ms.p95
    assert measured.inference_peak_bytes is None or measured.inference_peak_bytes > 0
    assert measured.threads == torch.get_num_threads()
    assert measured.sweep[0].batch == 1
    assert measured.energy is None
    assert measured.after.load is not None


def test_images_of_another_size_are_timed_without_being_read(job, recorder):
    measured = time_cell(job.model_copy(update={"size": (20, 30)}), recorder())
    assert rows(measured) == [(batch, stage) for batch in (1, 2) for stage in STAGES[:2]]
    assert {row.size for row in measured.inference} == {(20, 30)}


def test_equal_batches_are_timed_once(job, recorder):
    assert rows(time_cell(with_protocol(job, batch_size=1), recorder())) == [(1, stage) for stage in STAGES]


def test_weights_that_were_not_kept_are_not_needed(job, recorder):
    (Path(job.folder) / "model.safetensors").unlink()
    assert len(time_cell(job, recorder()).inference) == 6


def test_damaged_weights_are_an_error(job, recorder):
    (Path(job.folder) / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(RecordError, match=r"model\.safetensors is not a readable checkpoint"):
        time_cell(job, recorder())


@pytest.mark.slow
def test_compiled_networks_are_timed_too(job, recorder):
    assert len(time_cell(with_protocol(job, compile=True), recorder()).inference) == 6


@pytest.mark.gpu
def test_a_cell_is_timed_on_a_cuda_device(job, recorder):
    measured = time_cell(job.model_copy(update={"device": "cuda:0"}), recorder())
    assert len(measured.inference) == 6
    assert measured.inference_peak_bytes > 0


class FakeStopwatch:
    """An iteration takes as many seconds as it is told; a device that queues takes half of that."""

    def __init__(self, seconds, queues):
        self._seconds, self._queues = seconds, queues

    def time_one(self):
        return self._seconds

    def time_queued(self, count):
        return self._seconds / 2 * count if self._queues else None


class FakeNetwork:
    """A network whose iterations take 1/8 s, and on which batches above `most` do not fit."""

    device = torch.device("cpu")
    size = (4, 4)

    def __init__(self, batch_size=4, most=64, stages=STAGES, unreadable=False, queues=False, **timing):
        self.protocol = TrainingProtocol(budget=Budget(steps=1), batch_size=batch_size, timing=Timing(**timing))
        self.stages = stages
        self._most, self._unreadable, self._queues = most, unreadable, queues
        self.cleared = 0

    def stopwatch(self, stage, batch):
        if batch > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self._unreadable and stage == "loading":
            raise DataError("there is no image a.png")
        return FakeStopwatch(0.125, self._queues)

    def clear(self):
        self.cleared += 1


class FakeChannel:
    """A channel that says how many methods share the device and when a row is known, and ends early after turns."""

    def __init__(self, methods=1, turns=10**9, enough=lambda row: False):
        self.parts, self.rows, self.known, self.warnings, self.stages = [], [], [], [], []
        self._methods, self._turns, self._enough = methods, turns, enough

    def wait_for_turn(self, part, measured, row=None):
        self.parts.append(part)
        self.known.append(measured)
        self.rows.append(row)
        return Turn(self._methods if len(self.parts) <= self._turns else 0, self._enough(row))

    def emit(self, event, **fields):
        if event == "warning":
            self.warnings.append(fields["message"])
        else:
            self.stages.append(fields["name"])


def run(network, channel=None, nvml=None):
    return MethodTimer(network, channel or FakeChannel(), nvml).run()


def test_each_row_is_warmed_up_in_one_turn_and_measured_in_one_a_block():
    channel = FakeChannel()
    run(FakeNetwork(batch_size=1, sweep=0, stages=("forward",)), channel)
    # 30 s are 30 blocks of 8 iterations of 1/8 s each.
    assert channel.parts == [row_part("forward", 1, Work.WARM_UP), *[row_part("forward", 1, Work.BLOCK)] * 30]


def test_parts_come_in_an_order_in_which_methods_can_wait_for_each_other():
    channel = FakeChannel()
    run(FakeNetwork(seconds=2, sweep=2), channel)
    assert channel.parts == sorted(channel.parts)
    assert channel.parts[-2:] == [sweep_part(1), sweep_part(2)]


def test_what_is_timed_is_told_once_each():
    channel = FakeChannel()
    run(FakeNetwork(batch_size=1, seconds=2, sweep=1), channel)
    assert channel.stages == [*(f"{stage}, batches of 1" for stage in STAGES), "sweep, batches of 1"]


def test_rows_are_known_before_the_sweep_and_its_points_one_by_one():
    channel = FakeChannel()
    run(FakeNetwork(seconds=2, sweep=2), channel)
    before_the_sweep, *_ = [known for known in channel.known if known is not None]
    assert rows(before_the_sweep) == [(batch, stage) for batch in (1, 4) for stage in STAGES]
    assert [len(known.sweep) for known in channel.known if known is not None] == [0, 1]


def test_a_doubled_batch_that_takes_as_long_is_twice_as_fast_until_memory_is_out():
    points = run(FakeNetwork(most=4, seconds=2)).sweep
    assert [(point.batch, point.images_per_second) for point in points] == [(1, 8), (2, 16), (4, 32)]


def test_alone_a_batch_that_does_not_fit_has_no_row():
    channel = FakeChannel(methods=1)
    measured = run(FakeNetwork(most=2, seconds=2), channel)
    assert rows(measured) == [(1, stage) for stage in STAGES]
    assert len(channel.warnings) == 1
    assert channel.warnings[0].startswith("batches of 4 were not timed to the end: out of memory on cpu")


def test_beside_methods_running_out_of_memory_is_an_error():
    with pytest.raises(OutOfMemoryError):
        run(FakeNetwork(most=2), FakeChannel(methods=2))


def test_a_method_of_which_not_one_image_fits_cannot_be_timed():
    with pytest.raises(OutOfMemoryError, match="not even one image fits"):
        run(FakeNetwork(most=0))


def test_images_that_cannot_be_read_cost_only_the_stage_that_reads_them():
    channel = FakeChannel()
    assert rows(run(FakeNetwork(unreadable=True, seconds=2), channel)) == [
        (batch, stage) for batch in (1, 4) for stage in STAGES[:2]
    ]
    assert channel.warnings == ["the stage 'loading' was not timed: there is no image a.png"] * 2


@pytest.mark.parametrize("turns", [0, 1, 20, 190])
def test_an_early_end_gives_nothing(turns):
    assert run(FakeNetwork(), FakeChannel(turns=turns)) is None


def test_a_full_budget_holds_for_each_stage_and_a_reduced_one_mostly_for_the_forward_pass():
    assert {row.latency_ms.n for row in run(FakeNetwork(sweep=0)).inference} == {240}
    counts = [row.latency_ms.n for row in run(FakeNetwork(sweep=0, iterations=40, seconds=5, max_seconds=9)).inference]
    assert counts == [40, 10, 10] * 2


ADAPTIVE = BUDGETS["adaptive"].model_dump()


def test_an_adaptive_row_ends_with_the_block_after_which_it_is_known():
    channel = FakeChannel(enough=lambda row: row is not None and len(row.blocks) >= 7)
    measured = run(FakeNetwork(batch_size=1, stages=("forward",), **{**ADAPTIVE, "sweep": 0}), channel)
    # A block of at least 0.2 s is two iterations of 1/8 s.
    assert [row.blocks for row in channel.rows if row] == [(8.0,) * count for count in range(8)]
    assert measured.inference[0].budget == "adaptive"
    assert len(measured.inference[0].blocks) == 7


def test_an_adaptive_row_has_the_least_that_is_asked_for_even_if_it_is_known_earlier():
    measured = run(FakeNetwork(**ADAPTIVE), FakeChannel(enough=lambda row: True))
    assert {(len(row.blocks), row.latency_ms.n) for row in measured.inference} == {(5, 10)}


def test_all_that_an_adaptive_budget_measures_of_a_method_takes_20_seconds_at_most():
    network = FakeNetwork(**ADAPTIVE)
    watches = []
    given = network.stopwatch

    def stopwatch(stage, batch):
        watches.append(Counted(given(stage, batch)))
        return watches[-1]

    network.stopwatch = stopwatch
    measured = run(network)
    assert len(measured.inference) == 6
    assert measured.sweep
    assert 15 < sum(watch.seconds for watch in watches) <= 20


class Counted:
    """A stopwatch that adds up what it measured."""

    def __init__(self, stopwatch):
        self._stopwatch, self.seconds = stopwatch, 0.0

    def time_one(self):
        taken = self._stopwatch.time_one()
        self.seconds += taken
        return taken

    def time_queued(self, count):
        return None


def test_memory_is_given_back_before_the_sweep_and_after_each_of_its_turns():
    network = FakeNetwork(seconds=2, most=4)
    assert [point.batch for point in run(network).sweep] == [1, 2, 4]
    assert network.cleared == 1 + 4  # 8 did not fit


def test_a_sweep_that_ends_for_want_of_memory_beside_other_methods_says_so():
    channels = [FakeChannel(methods=methods) for methods in (1, 3)]
    for channel in channels:
        run(FakeNetwork(seconds=2, most=4), channel)
    assert [channel.warnings for channel in channels] == [[], ["batches of 8 do not fit beside 2 other methods"]]


class Unsteady(FakeStopwatch):
    def time_one(self):
        self._seconds *= 1.1
        return self._seconds


def test_a_warm_up_that_ran_out_of_time_is_told():
    network = FakeNetwork(seconds=2)
    assert run(network).steady
    network.stopwatch = lambda stage, batch: Unsteady(0.1, queues=False)
    assert not run(network).steady


class Counting:
    """A module pynvml whose energy counter moves at every look."""

    NVMLError = ZeroDivisionError

    def __init__(self):
        self.millijoules = 0.0

    def __getattr__(self, name):
        if name == "nvmlDeviceGetTotalEnergyConsumption":
            self.millijoules += 3000.0
            return lambda handle: self.millijoules
        raise ZeroDivisionError


def test_energy_is_measured_last_with_a_full_budget_at_the_protocols_batch():
    channel = FakeChannel()
    measured = run(FakeNetwork(queues=True), channel, Nvml(Counting(), "handle"))
    assert channel.parts[-1] == energy_part()
    # 480 batches of 4 in 30 s of 1/16 s each, and 3 J between two looks
    assert measured.energy.batch == 4
    assert measured.energy.joules_per_image == pytest.approx(3 / (4 * 480))
    assert measured.energy.seconds == 30


def test_energy_is_not_measured_with_a_reduced_budget():
    channel = FakeChannel()
    assert run(FakeNetwork(queues=True, seconds=2), channel, Nvml(Counting(), "handle")).energy is None
    assert energy_part() not in channel.parts
