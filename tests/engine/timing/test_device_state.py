from __future__ import annotations

import os

import pytest
import torch

from segbench.engine.timing.device_state import THROTTLE_REASONS, device_state, find_device, measure_energy, open_nvml


class Refused(Exception):
    """Raised where a device does not tell."""


class FakeNvml:
    """The module pynvml of a machine with one device; each reading can be an error."""

    NVMLError = Refused
    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, reasons=0, processes=1, clock=1980, temperature=61, energy=0, works=True):
        self.millijoules = energy
        self._works = works
        self._readings = {"reasons": reasons, "processes": processes, "clock": clock, "temperature": temperature}

    def nvmlInit(self):
        if not self._works:
            raise Refused

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid != "GPU-1":
            raise Refused
        return "handle"

    def nvmlDeviceGetClockInfo(self, handle, kind):
        assert (handle, kind) == ("handle", self.NVML_CLOCK_SM)
        return self._reading("clock")

    def nvmlDeviceGetTemperature(self, handle, sensor):
        assert sensor == self.NVML_TEMPERATURE_GPU
        return self._reading("temperature")

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        return self._reading("reasons")

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [object()] * self._reading("processes")

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if isinstance(self.millijoules, Exception):
            raise self.millijoules
        return self.millijoules

    def _reading(self, name):
        reading = self._readings[name]
        if isinstance(reading, Exception):
            raise reading
        return reading


class OldNvml(FakeNvml):
    """The same by the name that it had before."""

    nvmlDeviceGetCurrentClocksThrottleReasons = FakeNvml.nvmlDeviceGetCurrentClocksEventReasons
    nvmlDeviceGetCurrentClocksEventReasons = property()


class PoorNvml(FakeNvml):
    """One that has neither name."""

    nvmlDeviceGetCurrentClocksEventReasons = property()


@pytest.mark.parametrize(("library", "reasons"), [(FakeNvml, ["gpu idle"]), (OldNvml, ["gpu idle"]), (PoorNvml, None)])
def test_what_slows_the_clock_is_read_by_its_new_name_or_by_its_old_one(library, reasons):
    assert find_device(library(reasons=1), "GPU-1").throttle_reasons() == reasons


def state(methods=1, **readings):
    return device_state(find_device(FakeNvml(**readings), "GPU-1"), methods)


def test_clock_temperature_and_load_are_noted():
    found = state()
    assert (found.clock_mhz, found.temperature_celsius, found.throttle_reasons) == (1980, 61, [])
    assert found.load == pytest.approx(os.getloadavg()[0], abs=5)


def test_what_slows_the_clock_is_named():
    assert state(reasons=0x4 | 0x40).throttle_reasons == ["sw power cap", "hw thermal slowdown"]


def test_the_names_are_those_of_nvml():
    nvml = pytest.importorskip("pynvml")
    for bit, name in THROTTLE_REASONS.items():
        constant = "".join(word.capitalize() for word in name.split())
        assert getattr(nvml, f"nvmlClocksThrottleReason{constant}") == bit


def test_processes_other_than_the_methods_are_counted():
    assert state(methods=2, processes=3).other_processes == 1
    assert state(methods=2, processes=2).other_processes == 0


def test_methods_that_nvml_does_not_see_are_no_negative_number():
    assert state(methods=2, processes=0).other_processes == 0


def test_what_a_device_does_not_tell_is_missing_and_the_rest_is_there():
    found = state(clock=Refused(), processes=Refused(), reasons=Refused())
    assert (found.clock_mhz, found.other_processes, found.throttle_reasons) == (None, None, None)
    assert found.temperature_celsius == 61


def test_without_a_device_only_the_load_is_noted():
    found = device_state(None, 1)
    assert found.load is not None
    assert (found.clock_mhz, found.temperature_celsius, found.throttle_reasons, found.other_processes) == (None,) * 4


def test_a_library_that_does_not_work_and_an_unknown_device_are_none():
    assert find_device(FakeNvml(works=False), "GPU-1") is None
    assert find_device(FakeNvml(), "GPU-2") is None


def test_the_cpu_has_no_nvml():
    assert open_nvml(torch.device("cpu")) is None


@pytest.mark.gpu
def test_a_real_device_tells_its_clock():
    pytest.importorskip("pynvml")
    torch.ones(1, device="cuda:0")
    found = device_state(open_nvml(torch.device("cuda:0")), 1)
    assert found.clock_mhz > 0
    assert found.temperature_celsius > 0


class Busy:
    """A device that uses so many watts while it works, 0.01 s an iteration, and counts the joules."""

    def __init__(self, watts, queues=True):
        self._watts, self._queues, self._joules = watts, queues, 5000.0

    def time_one(self):
        return self._work(0.01)

    def time_queued(self, count):
        return self._work(0.01 * count) if self._queues else None

    def joules(self):
        return self._joules

    def _work(self, seconds):
        self._joules += self._watts * seconds
        return seconds


def measured(**device):
    busy = Busy(**device)
    return measure_energy(busy, 8, busy.joules)


def test_joules_an_image_are_those_of_the_counter_over_half_a_minute():
    energy = measured(watts=200)
    # 100 batches of 8 images a second at 200 W
    assert energy.joules_per_image == pytest.approx(0.25)
    assert energy.batch == 8
    assert energy.seconds >= 30


def test_a_counter_that_stands_still_tells_nothing():
    assert measured(watts=0) is None


def test_a_device_without_a_counter_tells_nothing():
    assert measure_energy(Busy(watts=200), 8, lambda: None) is None


def test_a_device_that_queues_nothing_is_not_measured():
    assert measured(watts=200, queues=False) is None
