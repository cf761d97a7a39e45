from __future__ import annotations

import pytest

from segbench.store.record import Inference, Latency, Timing

from .conftest import counted


def test_cost_is_that_of_the_common_seeds(two_methods, compared):
    cost = compared().cost
    assert cost.seconds_ratio == pytest.approx(1218.6 / 812.4)
    assert cost.parameters_ratio == 1
    assert cost.timed
    assert cost.speeds == ()


def test_methods_timed_in_one_session_have_a_ratio(store, trained, adversarial, compared):
    def timed(blocks):
        row = Inference(
            stage="forward",
            batch=1,
            size=(360, 480),
            images_per_second=blocks[0],
            latency_ms=Latency(p50=1.0, p95=1.0, n=200),
            budget="full",
            blocks=blocks,
        )
        return {"inference": [row], "timing": Timing(session="s", rivals=["unet"], threads=1, steady=True)}

    store(trained(), counted(70), **timed([200.0, 210.0, 190.0]))
    store(adversarial(), counted(70), **timed([100.0, 105.0, 95.0]))
    (speed,) = compared().cost.speeds
    assert (speed.stage, speed.batch) == ("forward", 1)
    assert speed.ratio.estimate == pytest.approx(0.5)
