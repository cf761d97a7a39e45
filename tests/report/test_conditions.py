from __future__ import annotations

from dataclasses import replace

from segbench.report.conditions import fill_in_missing, rank_conditions, read_conditions
from segbench.store.record import Train


def test_the_heading_states_every_condition(trained):
    assert read_conditions(trained()).heading == (
        "cuda: NVIDIA H200 · fp32 · batch 8 · 8 threads · not compiled · inference not timed"
    )


def test_the_heading_states_what_is_unusual(trained):
    window = {"size": (64, 64), "stride": (32, 32)}
    unusual = trained(protocol={"tf32": True, "compile": True, "deterministic": True, "window": window})
    assert read_conditions(unusual).heading == (
        "cuda: NVIDIA H200 · fp32 with TF32 · batch 8 · 8 threads · compiled · deterministic · "
        "sliding windows 64×64 every 32×32 · inference not timed"
    )


def test_a_cpu_goes_by_its_own_name(trained):
    assert read_conditions(trained(environment={"device": "cpu", "cpu": "Xeon", "threads": 1})).heading.startswith(
        "cpu: Xeon · fp32 · batch 8 · 1 thread ·"
    )


def test_beside_others_only_what_differs_is_told_after_the_device(trained):
    one = read_conditions(trained())
    other = read_conditions(trained(environment={"device": "cpu", "cpu": "Xeon", "threads": 8, "torch": "2.16.0"}))
    assert one.describe_beside([other]) == "cuda: NVIDIA H200 · torch 2.15.0"
    assert other.describe_beside([one]) == "cpu: Xeon · torch 2.16.0"


def test_conditions_are_ranked_by_the_records_of_their_place_and_the_timed_ones_come_first(trained):
    untimed = read_conditions(trained())
    timed = replace(untimed, sizes=((9, 9),), timing_budget="full")
    other = replace(timed, device_name="NVIDIA A100")
    assert rank_conditions({untimed: 3, other: 4, timed: 2}) == [timed, untimed, other]


def test_what_was_not_timed_takes_the_size_of_the_most_frequent_conditions_that_it_agrees_with(trained):
    untimed = read_conditions(trained())
    small = replace(untimed, sizes=((9, 9),), timing_budget="full")
    large = replace(untimed, sizes=((99, 99),), timing_budget="full")
    apart = replace(untimed, device="cpu")
    assert fill_in_missing({untimed: 5, small: 1, large: 2, apart: 1}) == {
        untimed: large,
        small: small,
        large: large,
        apart: apart,
    }


def test_whether_passes_were_captured_is_among_the_conditions(trained):
    def conditions(how):
        train = Train(steps=9, seconds=1.0, images_per_second=9.0, capture=how)
        return read_conditions(trained(protocol={"capture": "auto"}, fields={"train": train}))

    eager, captured = conditions("the device is cpu"), conditions("captured")
    assert captured != eager
    assert captured.heading == eager.heading.replace("not compiled", "not compiled · captured")


def test_processes_that_train_together_are_among_the_conditions(trained):
    alone, together = (read_conditions(trained(protocol=protocol)) for protocol in ({}, {"processes": 2}))
    heading = alone.heading.replace("8 threads", "8 threads in 2 processes")
    assert together.heading == heading.replace("NVIDIA H200", "2 × NVIDIA H200")
    assert together != alone
