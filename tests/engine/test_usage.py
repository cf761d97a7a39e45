"""What a cell takes of its machine, on the CPU and by what torch tells of a CUDA device."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
import torch

from segbench.engine.usage import UsageMeter

CUDA = torch.device("cuda", 1)


@pytest.fixture
def gpu(monkeypatch):
    """A CUDA device of 100 bytes of which 40 are taken; returns what it is busy at each look, in percent."""
    looks = []
    told = {"mem_get_info": (60, 100), "max_memory_reserved": 30, "memory_reserved": 25}
    for name, value in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: looks.pop(0))
    return looks


def report_after(steps, device, channel):
    meter = UsageMeter(channel, device)
    for step in range(steps):
        meter.emit("step", step=step)
    meter.emit("validation", step=steps)
    meter.report()
    return channel.of("usage")[0]


def test_a_gpu_is_looked_at_when_a_step_is_reported(gpu, recorder):
    gpu += [30, 50, 40]
    channel = recorder()
    usage = report_after(3, CUDA, channel)
    assert usage["busy"] == pytest.approx(0.4)
    assert [name for name, _ in channel.events] == ["step", "step", "step", "validation", "usage"]


def test_the_peak_of_a_gpu_is_what_it_holds_and_what_torch_has_given_back(gpu, recorder):
    usage = report_after(0, CUDA, recorder())
    assert (usage["device_bytes"], usage["device_total_bytes"]) == (40 + 30 - 25, 100)


@pytest.mark.parametrize("error", [ModuleNotFoundError("nvidia-ml-py"), RuntimeError("no driver"), ValueError("NVML")])
def test_without_nvml_nothing_is_known_of_its_time(gpu, recorder, monkeypatch, error):
    def refuse(device):
        raise error

    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    assert report_after(2, CUDA, recorder())["busy"] is None


def test_a_device_that_is_never_seen_busy_does_not_tell(gpu, recorder):
    gpu += [0, 0]
    assert report_after(2, CUDA, recorder())["busy"] is None


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_a_cell_on_the_cpu_tells_the_peak_of_its_process_alone(recorder):
    with mmap.mmap(-1, 64 * 2**20) as pages:
        pages.write(bytes(len(pages)))
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
        usage = report_after(1, torch.device("cpu"), recorder())
    assert usage == {"host_bytes": usage["host_bytes"], "device_bytes": None, "device_total_bytes": None, "busy": None}
    # Half of the pages, because the process may give others back meanwhile.
    assert usage["host_bytes"] > resident - 32 * 2**20


def test_a_meter_passes_on_what_is_asked_for(recorder):
    meter = UsageMeter(recorder(stop_after=1), torch.device("cpu"))
    assert [meter.stop_requested() for _ in range(2)] == [False, True]


@pytest.mark.gpu
def test_a_gpu_tells_what_it_holds(recorder):
    held = torch.zeros(2**26, device="cuda:0")
    usage = report_after(1, torch.device("cuda", 0), recorder())
    assert held.nbytes < usage["device_bytes"] < usage["device_total_bytes"]
