from __future__ import annotations

from segbench.report.conditions import read_conditions


def test_the_heading_states_every_condition(trained):
    assert read_conditions(trained()).heading == (
        "cuda: NVIDIA H200 · fp32 · batch 8 · 8 threads · not compiled · inference not timed"
    )


def test_the_heading_states_what_is_unusual(trained):
    window = {"size": (64, 64), "stride": (32, 32)}
    unusual = trained(protocol={"tf32": True, "compile": True, "window": window})
    assert read_conditions(unusual).heading == (
        "cuda: NVIDIA H200 · fp32 with TF32 · batch 8 · 8 threads · compiled · sliding windows 64×64 every 32×32 · "
        "inference not timed"
    )


def test_a_cpu_goes_by_its_own_name(trained):
    assert read_conditions(trained(environment={"device": "cpu", "cpu": "Xeon", "threads": 1})).heading.startswith(
        "cpu: Xeon · fp32 · batch 8 · 1 thread ·"
    )
