from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import torch

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.engine import device
from segbench.engine.cell import preflight, run_cell
from segbench.engine.device import (
    cpu_name,
    enter_device,
    environment,
    list_devices,
    probe,
    resolve_device,
    share_devices,
)
from segbench.engine.job import TimingJob
from segbench.engine.timing.session import time_cell
from segbench.errors import SegbenchError


def test_the_cpu_comes_first_and_computes():
    first, *others = list_devices()
    assert first["device"] == "cpu"
    assert first["name"]
    assert first["error"] is None
    assert len(others) == torch.cuda.device_count()


@pytest.mark.gpu
def test_every_cuda_device_is_tried():
    assert all(found["error"] is None and found["bf16"] in ("native", "emulated") for found in list_devices()[1:])


CPU = torch.device("cpu")


def test_each_process_takes_a_device_from_the_given_one_on(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    cuda = torch.device("cuda", 1)
    assert [share_devices(cuda, rank, 3) for rank in range(3)] == [torch.device("cuda", index) for index in (1, 2, 3)]
    assert share_devices(cuda, 0, 1) is cuda
    assert share_devices(CPU, 5, 8) is CPU
    with pytest.raises(SegbenchError, match="cuda:1 to cuda:4, but the last one here is cuda:3; set it to at most 3"):
        share_devices(cuda, 0, 4)


without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")


def test_the_environment_states_all_that_a_result_depends_on_as_json():
    found = json.loads(json.dumps(environment(CPU, threads=3)))
    assert set(found) == {
        *("device", "device_name", "cpu", "threads", "cores", "torch", "cuda", "cudnn", "python", "platform", "host"),
        *("machine", "segbench", "commit", "tf32", "memory", "bf16", "started"),
    }
    assert found["device"] == "cpu"
    assert found["device_name"] == found["cpu"] == cpu_name() != ""
    assert found["threads"] == 3
    assert found["cores"] >= 1
    assert found["torch"] == torch.__version__
    assert found["memory"] == "resident"
    assert found["bf16"] in ("native", "emulated", "unknown")
    assert found["tf32"] is False
    assert abs(datetime.now(UTC) - datetime.fromisoformat(found["started"])).total_seconds() < 3600


def test_the_machine_is_the_same_at_another_time_with_other_threads():
    assert environment(CPU, 1)["machine"] == environment(CPU, 2)["machine"]


def test_a_probe_names_the_device_that_was_asked_for(recorder):
    assert probe("cpu", recorder())["device"] == "cpu"


def test_a_probe_is_of_types_that_are_received_without_torch(recorder):
    assert {type(value) for value in probe("cpu", recorder()).values()} <= {str, int, bool, type(None)}


def test_a_probe_names_the_gpus_from_the_device_on(monkeypatch, recorder):
    monkeypatch.setattr(device, "resolve_device", lambda name: torch.device(name))
    monkeypatch.setattr(device, "environment", lambda device, threads: {"device": str(device)})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"uuid {index}"))
    assert probe("cuda:1", recorder()) == {"device": "cuda:1", "gpus": {"cuda:1": "uuid 1", "cuda:2": "uuid 2"}}


def test_auto_is_a_device_that_is_there():
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:٣", "mps", "", "cpu:0"])
def test_an_unknown_device_is_an_error_that_names_the_known_ones(name):
    with pytest.raises(SegbenchError, match=r"unknown device .*; allowed are auto, cpu, cuda and cuda:N"):
        resolve_device(name)


@without_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_missing_cuda_device_is_an_error_that_says_why_and_what_to_do(name):
    with pytest.raises(SegbenchError, match=rf"{name}.* is not available: torch .*; use --device cpu or auto"):
        resolve_device(name)


class Entered(Exception):
    """A device was made the current one."""


@pytest.fixture
def two_gpus(monkeypatch):
    """Stand for a machine with two CUDA devices."""

    def enter(device):
        raise Entered(str(device))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", enter)


@pytest.mark.parametrize("function", [run_cell, preflight, time_cell])
def test_a_cell_makes_its_device_the_current_one_before_all_else(two_gpus, recorder, function):
    method = SimpleNamespace(protocol=TrainingProtocol(budget=Budget(steps=1)))
    job = TimingJob.model_construct(cell=SimpleNamespace(method=method), device="cuda:1")
    with pytest.raises(Entered, match="cuda:1"):
        function(job, recorder())


def test_the_cpu_is_no_device_to_be_made_current(two_gpus):
    assert enter_device("cpu") == CPU


def test_a_process_in_which_cuda_cannot_start_says_why_and_what_to_do(two_gpus, monkeypatch, recorder):
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with pytest.raises(SegbenchError, match=r"'cuda:0' cannot be used: .* before this process was forked.*--disable"):
        probe("cuda:0", recorder())


@pytest.mark.gpu
def test_a_cuda_device_beyond_the_last_is_an_error_that_says_how_many_there_are():
    count = torch.cuda.device_count()
    with pytest.raises(SegbenchError, match=f"choose one of cuda:0 to cuda:{count - 1}"):
        resolve_device(f"cuda:{count}")
    assert resolve_device("cuda") == torch.device("cuda", 0)
    assert environment(resolve_device("cuda"), 1)["memory"] == "allocated on device"
