from __future__ import annotations

import pytest

from segbench.plan.build import Plan
from segbench.plan.warnings import benchmark_warnings, machine_warnings, plan_warnings
from segbench.spec.protocol import Protocol
from segbench.spec.recipe import Benchmark, DatasetUse

from .conftest import cell, method


def methods(**protocols):
    return {
        name: method(name, protocol=Protocol(budget={"steps": 1}, **protocol)) for name, protocol in protocols.items()
    }


def warnings_of(**protocols):
    return benchmark_warnings(
        Benchmark(
            name="t",
            source="t.yaml",
            datasets={"d": DatasetUse(use="toy/shapes")},
            seeds=(0,),
            methods=methods(**protocols),
        )
    )


def on_machine(made, device="cpu", jobs=1, cores=2, flags=frozenset()):
    return machine_warnings(made, device, jobs, cores=cores, flags=flags)


def test_a_plain_benchmark_has_no_warnings():
    assert warnings_of(a={}) == ()
    assert on_machine(methods(a={"threads": 2})) == ()


def test_bf16_is_warned_of_where_the_cpu_emulates_it():
    (warning,) = on_machine(methods(a={"precision": "bf16"}, b={}))
    assert warning.startswith("a: bf16 is only emulated by this CPU (it has none of amx_bf16, avx512_bf16)")


@pytest.mark.parametrize(
    ("device", "flags"),
    [("cpu", {"avx512_bf16"}), ("cpu", {"amx_bf16"}), ("cpu", None), ("cuda", frozenset()), ("cuda:1", frozenset())],
)
def test_bf16_is_not_warned_of_elsewhere(device, flags):
    assert on_machine(methods(a={"precision": "bf16"}), device, flags=flags) == ()


def test_fp16_is_warned_of_on_the_cpu():
    made = methods(a={"precision": "fp16"}, b={"precision": "fp16"})
    (warning,) = on_machine(made)
    assert warning.startswith("all methods: fp16 is made for GPUs")
    assert on_machine(made, "cuda") == ()


@pytest.mark.parametrize(("threads", "jobs", "warned"), [(2, 2, False), (2, 3, True), (5, 1, True), (4, 1, False)])
def test_more_threads_than_cores_are_warned_of(threads, jobs, warned):
    found = on_machine(methods(a={"threads": threads}), jobs=jobs, cores=4)
    assert bool(found) == warned


def test_the_reported_split_is_warned_of_where_it_is_not_test():
    assert "train split" in warnings_of(a={"evaluate": "train"})[0]
    assert "val split" in warnings_of(a={"evaluate": "val", "validations": 2})[0]
    assert warnings_of(a={"evaluate": "val"}) == ()
    assert warnings_of(a={"validations": 2}) == ()


@pytest.mark.parametrize("timing", [{"iterations": 100}, {"seconds": 1}, {"max_seconds": 60}])
def test_a_reduced_timing_budget_is_warned_of(timing):
    assert "timing budget is reduced" in warnings_of(a={"timing": timing})[0]


def test_a_larger_timing_budget_is_not_reduced():
    assert warnings_of(a={"timing": {"iterations": 500, "seconds": 60, "max_seconds": 240}}) == ()


def test_the_warnings_of_a_plan_are_its_own_and_those_of_the_machine():
    made = method(protocol=Protocol(budget={"steps": 1}, precision="fp16", threads=1))
    plan = Plan(cells=(cell(method=made), cell(method=made, seed=1)), warnings=("own",))
    own, fp16 = plan_warnings(plan, device="cpu")
    assert own == "own"
    assert "fp16" in fp16
    assert plan_warnings(plan, device="cuda:0") == ("own",)
