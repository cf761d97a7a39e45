from __future__ import annotations

import pytest

from segbench.engine.energy import energy_of


class Busy:
    """A device that uses so many watts while it works, 0.01 s an iteration, and counts the joules."""

    def __init__(self, watts, queues=True):
        self._watts, self._queues, self._joules = watts, queues, 5000.0

    def timed(self):
        return self._work(0.01)

    def queued(self, count):
        return self._work(0.01 * count) if self._queues else None

    def joules(self):
        return self._joules

    def _work(self, seconds):
        self._joules += self._watts * seconds
        return seconds


def measured(**device):
    busy = Busy(**device)
    return energy_of(busy, 8, busy.joules)


def test_joules_an_image_are_those_of_the_counter_over_half_a_minute():
    energy = measured(watts=200)
    # 100 batches of 8 images a second at 200 W
    assert energy.joules_per_image == pytest.approx(0.25)
    assert energy.batch == 8
    assert energy.seconds >= 30


def test_a_counter_that_stands_still_tells_nothing():
    assert measured(watts=0) is None


def test_a_device_without_a_counter_tells_nothing():
    assert energy_of(Busy(watts=200), 8, lambda: None) is None


def test_a_device_that_queues_nothing_is_not_measured():
    assert measured(watts=200, queues=False) is None
