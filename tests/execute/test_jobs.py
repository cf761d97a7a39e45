"""What cells take over from cells before them, as the parent resolves it and as real workers get it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from run_functions import FUNCTIONS, run_all

from segbench.config.optimizer import Optimizer
from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.recipe import Adversarial, ComponentUse, DatasetUse, Method, Tuning, WeightedLoss
from segbench.execute.jobs import RunOptions, resolve_upstream
from segbench.execute.processes import fair_share
from segbench.execute.workers import Limits
from segbench.plan.cell import Cell
from segbench.plan.key import cell_key
from segbench.store.folder import ResultsFolder
from segbench.store.record import FromUpstream, Record, Scores, Train, Trial

UPSTREAM = replace(FUNCTIONS, cell="upstream_functions:train")
RATE = "protocol.optimizer.lr"


def test_a_worker_may_use_its_share_of_the_machine_unless_it_is_said():
    assert RunOptions(jobs=2).limits == Limits(None, fair_share(2))
    assert RunOptions(timeout=3.0, memory_limit=0.5).limits == Limits(3.0, 500_000_000)
    assert RunOptions(memory_limit=0.5).on_each_of(3) == RunOptions(memory_limit=0.5)
    assert RunOptions(jobs="auto").limits == RunOptions(jobs=1).limits
    assert RunOptions(jobs="auto").on_each_of(3).limits.memory == pytest.approx(fair_share(3), abs=1)
    assert RunOptions(jobs=2).on_each_of(3).limits.memory == pytest.approx(fair_share(6), abs=1)


def method(name, rate=0.5, budget=None, placebo=None, **changes):
    adversarial = {"discriminator": ComponentUse(use="gan/image"), "adversarial": Adversarial(use="gan/hinge")}
    if placebo:
        adversarial["adversarial"] = adversarial["adversarial"].model_copy(update={"placebo": placebo})
    return Method(
        name=name,
        generator=ComponentUse(use="basic/fcn"),
        losses=(WeightedLoss(use="losses/dice"),),
        protocol=TrainingProtocol(budget=budget or Budget(steps=1), optimizer=Optimizer(lr=rate), threads=1),
        **{**adversarial, **changes},
    )


def cell(recipe, seed=0, **upstream):
    made = Cell(
        benchmark="bench",
        dataset_name="data",
        dataset=DatasetUse(use="data/shapes"),
        method=recipe,
        seed=seed,
        fingerprint="f",
        cache_key="c",
        for_tuning=seed == 9,
        upstream={reason: other.key for reason, other in upstream.items()},
    )
    return made.model_copy(update={"key": cell_key(made)})


def tuned(name="net", rates=(0.1, 0.3, 0.2), arm=None, seeds=(0,), **changes):
    """Return the cells of the trials of an arm, and those of a method that is tuned by them."""
    arm = arm or name
    settings = {f"{arm}#{number}": {RATE: rate} for number, rate in enumerate(rates, 1)}
    trials = [cell(method(trial, lr[RATE], trial_of=arm), seed=9) for trial, lr in settings.items()]
    upstream = {f"trial {number}/{len(rates)}": trial for number, trial in enumerate(trials, 1)}
    recipe = method(name, tuning=Tuning(seed=9, trials=settings), **changes)
    made = [cell(recipe, seed, **upstream) for seed in seeds]
    return trials, made


def record(made, miou=0.5, seconds=2.0):
    scores = Scores(miou=miou, pixel_accuracy=None, mean_accuracy=None, fwiou=None, dice=None)
    return Record(
        key=made.key,
        benchmark="bench",
        dataset="data",
        subset="all",
        method=made.method.name,
        seed=made.seed,
        status="ok",
        scores=scores,
        train=Train(steps=1, seconds=seconds, images_per_second=None),
        spec=made.model_dump(mode="json"),
        environment={},
    )


def by_key(cells):
    return {made.key: made for made in cells}


def resolve(made, cells=(), records=()):
    """Resolve what a cell takes over, given the cells of the plan and the records of those that it needs."""
    found = by_key(records)
    return resolve_upstream(made, by_key(cells), {reason: found.get(key) for reason, key in made.upstream.items()})


def resolve_trials(mious, **changes):
    trials, (made,) = tuned(**changes)
    records = [record(trial, miou) for trial, miou in zip(trials, mious, strict=True)]
    return made, trials, *resolve(made, [*trials, made], records)


def test_a_cell_that_takes_nothing_over_is_left_as_it_is():
    plain = cell(method("plain"))
    assert resolve(plain) == (plain, None)
    child = cell(method("child", start_from="plain"), start_from=plain)
    assert resolve(child, [plain, child], [record(plain)]) == (child, None)


def test_a_budget_like_another_becomes_its_measured_seconds():
    slow = cell(method("slow"))
    long = cell(method("long", budget=Budget(like="slow")), budget=slow)
    made, found = resolve(long, [slow, long], [record(slow, seconds=12.345)])
    assert made.method.protocol.budget == Budget(seconds=12.345)
    assert found == FromUpstream(seconds=12.345)
    unchanged = {"method": {"protocol": {"budget"}}}
    assert made.model_dump(exclude=unchanged) == long.model_dump(exclude=unchanged)


def test_a_budget_is_never_no_time_at_all():
    fast = cell(method("fast"))
    long = cell(method("long", budget=Budget(like="fast")), budget=fast)
    made, _ = resolve(long, [fast, long], [record(fast, seconds=0.0)])
    assert made.method.protocol.budget.seconds == 0.001


@pytest.mark.parametrize(
    ("mious", "best"),
    [((0.1, 0.9, 0.5), 1), ((0.4, 0.2, 0.4), 0), ((None, 0.0, None), 1), ((None, None, None), 0), ((0, 0, 0.1), 2)],
)
def test_the_trial_with_the_largest_miou_wins_and_of_equal_ones_the_first(mious, best):
    written, trials, made, found = resolve_trials(mious)
    assert found.winner == trials[best].key
    assert [trial.miou for trial in found.trials] == list(mious)
    assert made.method.protocol.optimizer.lr == (0.1, 0.3, 0.2)[best]
    assert (made.method.name, made.seed, made.key) == ("net", 0, written.key)


def test_all_trials_are_recorded_in_their_order():
    _, trials, _, found = resolve_trials((0.1, 0.2, 0.3))
    assert found.trials == [
        Trial(key=trial.key, settings={RATE: rate}, miou=miou)
        for trial, rate, miou in zip(trials, (0.1, 0.3, 0.2), (0.1, 0.2, 0.3), strict=True)
    ]
    assert found.seconds is None


def test_a_placebo_takes_the_winner_of_its_claim_and_stays_a_placebo():
    _, _, made, _ = resolve_trials((0.1, 0.2, 0.3), name="net~frozen", arm="net", placebo="frozen", placebo_of="net")
    assert made.method.protocol.optimizer.lr == 0.2
    assert made.method.adversarial.placebo == "frozen"
    assert made.method.placebo_of == "net"


def test_a_tuned_method_may_take_the_time_of_another():
    slow = cell(method("slow"))
    trials, (made,) = tuned(budget=Budget(like="slow"))
    made = made.model_copy(update={"upstream": {**made.upstream, "budget": slow.key}})
    records = [*(record(trial, 0.1) for trial in trials), record(slow, seconds=3.0)]
    after, found = resolve(made, [*trials, slow, made], records)
    assert (after.method.protocol.optimizer.lr, after.method.protocol.budget) == (0.1, Budget(seconds=3.0))
    assert (found.seconds, found.winner) == (3.0, trials[0].key)


def test_resolving_again_changes_nothing():
    written, trials, made, found = resolve_trials((0.1, 0.2, 0.3))
    records = [record(trial, miou) for trial, miou in zip(trials, (0.1, 0.2, 0.3), strict=True)]
    assert resolve(made, [*trials, written], records) == (made, found)


def run(cells, results, workers, **settings):
    summary = run_all(cells, results, workers=workers, functions=UPSTREAM, **settings)
    return {(found.method, found.seed): found for found in summary.records}


def trained(results):
    """Return what workers got: method, seed, learning rate, seconds and placebo."""
    return [tuple(json.loads(line)) for line in (results / "bench" / "trained").read_text().splitlines()]


def triplet():
    """Return the cells of a tuned method with two seeds, its placebo, and one that takes its time."""
    trials, nets = tuned(seeds=(0, 1))
    _, placebos = tuned("net~frozen", arm="net", placebo="frozen", placebo_of="net")
    return [*trials, *nets, *placebos, cell(method("long", 0.7, Budget(like="net")), 1, budget=nets[1])]


RESOLVED_CELLS = {("net", 0, 0.3, None, None), ("net", 1, 0.3, None, None), ("net~frozen", 0, 0.3, None, "frozen")}
ALL_CELLS = {*((f"net#{number}", 9, rate, None, None) for number, rate in enumerate((0.1, 0.3, 0.2), 1))}
ALL_CELLS |= {*RESOLVED_CELLS, ("long", 1, 0.7, 3.0, None)}


def test_workers_get_what_was_resolved_and_records_keep_what_was_written(tmp_path, workers):
    cells = triplet()
    found = run(cells, tmp_path, workers, jobs=2)
    assert set(trained(tmp_path)) == ALL_CELLS
    assert {one.status for one in found.values()} == {"ok"}
    assert found["net", 0].settled == found["net~frozen", 0].settled == found["net", 1].settled
    assert found["net", 0].settled.winner == cells[1].key
    assert found["long", 1].settled == FromUpstream(seconds=3.0)
    assert found["net#1", 9].settled is None
    for written in cells:
        spec = found[written.method.name, written.seed].spec
        assert spec == written.model_dump(mode="json", exclude={"dataset": {"root"}})


def test_a_failed_trial_leaves_its_method_out_until_it_is_there(tmp_path, workers):
    (tmp_path / "bench").mkdir()
    broken = tmp_path / "bench" / "break net#3"
    broken.touch()
    found = run(triplet(), tmp_path, workers)
    expected = "trial 3/3 needs 'net#3' with seed 9, which is failed: RuntimeError: made to fail"
    assert (found["net", 0].status, found["net", 0].error.cause) == ("skipped", expected)
    assert found["net~frozen", 0].status == "skipped"
    assert found["long", 1].error.cause.startswith("budget needs 'net' with seed 1, which is skipped: trial 3/3 needs")
    broken.unlink()
    assert {one.status for one in run(triplet(), tmp_path, workers).values()} == {"ok"}
    assert sorted({line for line in trained(tmp_path) if line[0] == "net"}) == [
        ("net", 0, 0.3, None, None),
        ("net", 1, 0.3, None, None),
    ]


def test_what_is_resumed_takes_over_the_same(tmp_path, workers):
    (tmp_path / "bench").mkdir()
    for name in ("net", "long"):
        (tmp_path / "bench" / f"interrupt {name}").touch()
    first = run(triplet(), tmp_path, workers)
    assert first["net", 0].status == "interrupted"
    assert first["net", 0].settled.winner is not None
    assert first["long", 1].error.cause == "budget needs 'net' with seed 1, which is interrupted"
    (tmp_path / "bench" / "interrupt long").unlink()
    second = run(triplet(), tmp_path, workers)
    assert {one.status for one in second.values()} == {"ok"}
    assert second["net", 0].settled == first["net", 0].settled
    got = [line for line in trained(tmp_path) if line[:2] == ("net", 0)]
    assert got == [("net", 0, 0.3, None, None)] * 2


def test_a_finished_run_with_tuning_has_nothing_left_to_do(tmp_path, workers):
    run(triplet(), tmp_path, workers)
    folder = ResultsFolder(tmp_path, "bench")
    timed = {one.method for one in folder.records() if one.inference}
    assert timed == {"net", "net~frozen", "long"}
    assert {one.status for one in run(triplet(), tmp_path, None).values()} == {"ok"}
