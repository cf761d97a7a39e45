from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segbench.engine.job import CellJob
from segbench.engine.timing import device_clock, generating_step, segmenting_step, time_cell
from segbench.errors import RecordError
from segbench.plan.cell import Cell
from segbench.spec.protocol import Budget, Protocol, Timing
from segbench.store.folder import read_record

CPU = torch.device("cpu")
ONE_STEP = Budget(steps=1)


@pytest.fixture
def job(recorded_cell) -> CellJob:
    """A timing of a recorded cell that is done at once."""
    cell = Cell.model_validate(read_record(recorded_cell).spec)
    protocol = cell.method.protocol.model_copy(
        update={"timing": Timing(iterations=3, seconds=0.001, max_seconds=0.01), "batch_size": 2}
    )
    method = cell.method.model_copy(update={"protocol": protocol})
    cell = cell.model_copy(update={"method": method})
    return CellJob(cell=cell, folder=str(recorded_cell.with_suffix("")), device="cpu")


def with_protocol(job, **changes):
    protocol = job.cell.method.protocol.model_copy(update=changes)
    method = job.cell.method.model_copy(update={"protocol": protocol})
    return job.model_copy(update={"cell": job.cell.model_copy(update={"method": method})})


def test_a_cell_is_timed_at_batch_1_and_at_the_batch_of_its_protocol(job, recorder):
    channel = recorder()
    result = time_cell(job, channel)
    assert [row.batch for row in result.inference] == [1, 2]
    for row in result.inference:
        assert row.size == (48, 64)  # of whole images, not of the crop of 32 x 48
        assert row.budget == "reduced"
        assert row.images_per_second > 0
        assert 0 < row.latency_ms.p50 <= row.latency_ms.p95
        assert row.latency_ms.n >= 1
    assert result.inference_peak_bytes is None or result.inference_peak_bytes > 0
    assert channel.of("stage") == [{"name": "time batches of 1"}, {"name": "time batches of 2"}]


def test_equal_batches_are_timed_once(job, recorder):
    assert [row.batch for row in time_cell(with_protocol(job, batch_size=1), recorder()).inference] == [1]


def test_weights_that_were_not_kept_are_not_needed(job, recorder):
    (Path(job.folder) / "model.safetensors").unlink()
    assert len(time_cell(job, recorder()).inference) == 2


def test_damaged_weights_are_an_error(job, recorder):
    (Path(job.folder) / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(RecordError, match=r"model\.safetensors is not a readable checkpoint"):
        time_cell(job, recorder())


@pytest.mark.parametrize("channels_last", [False, True])
def test_images_go_in_in_the_layout_of_the_protocol(channels_last):
    seen = []
    network = torch.nn.Conv2d(3, 2, 1)
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    segmenting_step(network, (torch.zeros(2, 3, 4, 5),), Protocol(budget=ONE_STEP, channels_last=channels_last))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert seen[0].is_contiguous(memory_format=layout)


def test_a_step_is_one_forward_pass_without_gradients():
    network = torch.nn.Conv2d(3, 2, 1)
    calls = []
    network.register_forward_hook(lambda *call: calls.append(call))
    step = segmenting_step(network, (torch.zeros(1, 3, 4, 4),), Protocol(budget=ONE_STEP))
    assert len(calls) == 1  # the first one, which compiles and searches, is no iteration
    scores = step()
    assert len(calls) == 2
    assert scores.shape == (1, 2, 4, 4)
    assert not scores.requires_grad


def test_a_generator_is_given_all_that_it_takes():
    network = torch.nn.Bilinear(3, 4, 5)
    step = generating_step(network, (torch.ones(2, 3), torch.ones(2, 4)), Protocol(budget=ONE_STEP, precision="bf16"))
    made = step()
    assert made.shape == (2, 5)
    assert made.dtype == torch.float32
    assert not made.requires_grad


def test_the_clock_does_not_go_back():
    now = device_clock(CPU)
    assert now() <= now()


@pytest.mark.gpu
def test_the_clock_waits_for_a_cuda_device(job, recorder):
    result = time_cell(job.model_copy(update={"device": "cuda:0"}), recorder())
    assert [row.batch for row in result.inference] == [1, 2]
    assert result.inference_peak_bytes > 0
