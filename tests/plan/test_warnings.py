from __future__ import annotations

import pytest

from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import Adversarial, Benchmark, Claim, ComponentUse, DatasetUse, Tuning
from segbench.plan.warnings import benchmark_warnings, machine_warnings, plan_warnings

from .conftest import cell, method


def methods(**protocols):
    return {
        name: method(name, protocol=TrainingProtocol(budget={"steps": 1}, **protocol))
        for name, protocol in protocols.items()
    }


def warnings_of(**protocols):
    return benchmark_warnings(benchmark(*methods(**protocols).values(), seeds=(0,)))


def benchmark(*made, seeds=(0, 1, 2), compare=()):
    return Benchmark(
        name="t",
        source="t.yaml",
        datasets={"d": DatasetUse(use="toy/shapes")},
        seeds=seeds,
        methods={method.name: method for method in made},
        compare=compare,
    )


def on_machine(made, device="cpu", jobs=1, cores=2, flags=frozenset(), gpus=0):
    return machine_warnings(made, device, jobs, cores=cores, flags=flags, gpus=gpus)


CLAIMS = (Claim(claim="b", against="a"), Claim(claim="c", against="a"))


@pytest.mark.parametrize(("seeds", "are"), [((7,), "is 1"), ((0, 1), "are 2")])
@pytest.mark.parametrize(("compare", "what"), [(CLAIMS, "b against a, c against a"), ((), "all methods")])
def test_no_verdict_below_three_seeds_is_said_beforehand(seeds, are, compare, what):
    made = benchmark(method("a"), method("b"), method("c"), seeds=seeds, compare=compare)
    assert benchmark_warnings(made) == (
        f"{what}: no verdict below 3 seeds, and there {are}: they are too few to tell a difference from chance",
    )


def test_enough_seeds_and_a_single_method_with_few_are_not_warned_of():
    assert benchmark_warnings(benchmark(method("a"), method("b"), method("c"), compare=CLAIMS)) == ()
    assert benchmark_warnings(benchmark(method("a"), seeds=(0,))) == ()


def adversarial(name, encoding, **changes):
    critic = {"discriminator": ComponentUse(use="toy/critic")}
    return method(name, adversarial=Adversarial(use="toy/hinge", encoding=encoding), **{**critic, **changes})


@pytest.mark.parametrize("encoding", ["one_hot", "smoothed", "product", "scaled"])
def test_encodings_that_may_leak_are_warned_of(encoding):
    made = [adversarial("a", encoding), adversarial("b", encoding), method("c")]
    assert benchmark_warnings(benchmark(*made)) == (
        f"a, b: the encoding {encoding} may let the discriminator tell ground truth from predictions by sharpness "
        "alone; measure it with `segbench probe FILE METHOD`",
    )


def test_each_encoding_has_a_warning_of_its_own():
    first, second = benchmark_warnings(benchmark(adversarial("a", "one_hot"), adversarial("b", "scaled")))
    assert first.startswith("a: the encoding one_hot may")
    assert second.startswith("b: the encoding scaled may")


@pytest.mark.parametrize(
    "quiet",
    [
        adversarial("a", "straight_through"),
        adversarial("a", "confidence_matched"),
        adversarial("a", "one_hot", placebo_of="b"),
        adversarial("a", "one_hot", maps="noise -> image"),
        adversarial("a", "one_hot", maps="labels -> image"),
        adversarial("a", "one_hot", maps="image -> image"),
    ],
    ids=lambda quiet: f"{quiet.adversarial.encoding.use} {quiet.maps} {quiet.placebo_of}",
)
def test_what_leaks_nothing_and_placebos_are_not_warned_of(quiet):
    assert benchmark_warnings(benchmark(quiet)) == ()


def test_labels_that_are_made_with_images_may_leak_too():
    (warning,) = benchmark_warnings(benchmark(adversarial("a", "one_hot", maps="noise -> image, labels")))
    assert "segbench probe" in warning


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


def test_fp32_without_tf32_is_warned_of_on_a_gpu():
    made = methods(a={}, b={"tf32": True}, c={"precision": "bf16"})
    assert on_machine(made, flags={"avx512_bf16"}) == ()
    (warning,) = on_machine(made, "cuda:0")
    assert warning.startswith("a: fp32 without tf32 leaves the tensor cores of a GPU idle")


@pytest.mark.parametrize(("threads", "jobs", "warned"), [(2, 2, False), (2, 3, True), (5, 1, True), (4, 1, False)])
def test_more_threads_than_cores_are_warned_of(threads, jobs, warned):
    found = on_machine(methods(a={"threads": threads}), jobs=jobs, cores=4)
    assert bool(found) == warned


@pytest.mark.parametrize(("budget", "jobs", "warned"), [("like", 1, False), ("like", 2, True), ("seconds", 2, False)])
def test_budgets_of_measured_seconds_are_warned_of_where_cells_run_at_once(budget, jobs, warned):
    protocol = TrainingProtocol(budget={"like": "a"} if budget == "like" else {"seconds": 3})
    found = on_machine({"a": method("a"), "b": method("b", protocol=protocol)}, jobs=jobs, cores=9)
    text = "b: the budget is seconds that are measured while 2 cells run at once, and they slow each other down; take "
    assert found == ((f"{text}--jobs 1 for equal budgets",) if warned else ())


@pytest.mark.parametrize(("budget", "accumulate", "warned"), [("seconds", 2, 1), ("seconds", 1, 0), ("steps", 2, 0)])
def test_fewer_steps_in_as_many_seconds_are_warned_of(budget, accumulate, warned):
    protocol = TrainingProtocol(budget={budget: 9}, accumulate=accumulate)
    found = benchmark_warnings(benchmark(method("a", protocol=protocol)))
    assert len(found) == warned
    assert all("the budget is seconds and each step takes several micro-batches" in one for one in found)


def test_overrides_are_warned_of_but_not_a_budget_of_equal_seconds():
    keys = ("budget.steps", "budget.like", "batch_size")
    equal = method("equal", protocol=TrainingProtocol(budget={"like": "a"}), overrides=keys[:2])
    larger = method("larger", protocol=TrainingProtocol(budget={"like": "a"}), overrides=keys)
    longer = method("longer", overrides=("budget.steps",))
    assert benchmark_warnings(benchmark(method("a"), equal, larger, longer)) == (
        "larger: overrides batch_size of the protocol, so it does not run under equal conditions",
        "longer: overrides budget.steps of the protocol, so it does not run under equal conditions",
    )


def test_a_tuned_method_whose_twin_is_not_is_warned_of():
    tuned = {"tuning": Tuning(seed=9, trials={"b#1": {"protocol.optimizer.lr": 1}})}
    made = [method("a"), method("b", twin="a", **tuned), method("c", twin="b", **tuned), method("d", twin="b")]
    assert benchmark_warnings(benchmark(*made)) == (
        "b: it is tuned and its twin a is not, so what it gains may be the tuning's",
    )


def test_trials_are_not_warned_of():
    noisy = TrainingProtocol(budget={"steps": 1}, evaluate="val", validations=2, precision="fp16")
    trial = method("a#1", trial_of="a", protocol=noisy, overrides=("optimizer.lr",))
    assert benchmark_warnings(benchmark(method("a"), trial)) == ()
    assert plan_warnings(benchmark(trial), [cell(method=trial)], device="cpu") == ()


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


@pytest.mark.parametrize(
    ("device", "gpus", "said"),
    [("cpu", 0, "exceed the 2 usable cores"), ("cuda:0", 2, "only 2 can be seen"), ("cuda", 4, ""), ("cuda", 0, "")],
)
def test_more_processes_than_there_is_room_for_are_warned_of(device, gpus, said):
    found = on_machine(methods(a={"processes": 4, "tf32": True}), device=device, gpus=gpus)
    assert [said in warning for warning in found] == [True] * bool(said)
    assert on_machine(methods(a={"tf32": True}), device=device, gpus=gpus, cores=1) == ()


def test_warnings_of_the_benchmark_come_before_those_of_the_machine():
    made = method(protocol=TrainingProtocol(budget={"steps": 1}, precision="fp16", threads=1, evaluate="train"))
    cells = [cell(method=made), cell(method=made, seed=1)]
    trained, fp16 = plan_warnings(benchmark(made), cells, device="cpu")
    assert "train split" in trained
    assert "fp16" in fp16
    assert plan_warnings(benchmark(made), cells, device="cuda:0") == (trained,)


def test_keys_with_a_new_name_are_warned_of_first():
    noticed = benchmark(method("a", protocol=TrainingProtocol(budget={"steps": 1}, evaluate="train")))
    first, _ = benchmark_warnings(noticed.model_copy(update={"notices": ("noise_channels is now latent_channels",)}))
    assert first == "noise_channels is now latent_channels"
