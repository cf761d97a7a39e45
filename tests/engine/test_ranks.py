"""Two processes train and evaluate as one does; they run once for all these tests, from pair.py."""

from __future__ import annotations

import sys
from dataclasses import fields
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.engine.ranks import ALONE, Ranks, draws_of_its_own
from segbench.engine.training.loop import train
from segbench.errors import CellError
from segbench.execute.forkserver import modules_to_preload
from segbench.execute.workers import Finished, Limits, Workers

from .conftest import CPU, Recorder
from .pair import CASES, TOGETHER, evaluated, learnt, make_case
from .training.short import NEVER, assert_equal

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of two processes found, from the first one on; they come from the server of all workers."""
    folder = tmp_path_factory.mktemp("pair")
    workers = Workers(modules_to_preload(()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(TESTS)])  # which workers take over
        running = [workers.start("engine.pair:work", (rank, folder), folder, Limits()) for rank in range(TOGETHER)]
    outcomes = [outcome_of(worker) for worker in running]
    assert [outcome for outcome in outcomes if not isinstance(outcome, Finished)] == []
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(TOGETHER)]


def outcome_of(worker):
    """Wait for the end of a worker."""
    while worker.running:
        wait(worker.waitables)
        list(worker.events())
    list(worker.events())  # it answers just before it ends
    return worker.outcome()


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_as_one_does(found, tmp_path, name):
    alone = make_case(name)
    train(alone, tmp_path / "checkpoint", NEVER, Recorder())
    first, second = (one["learnt"][name] for one in found)
    for network, expected in learnt(alone).items():
        torch.testing.assert_close(first[network], expected, rtol=0, atol=1e-5)
        assert_equal(first[network], second[network])


def test_a_layer_that_the_share_of_one_passed_by_learns_from_the_others(found):
    for one in found:
        used_by_all, used_by_one, frozen = one["gradients"]
        assert (used_by_all.tolist(), used_by_one.tolist(), frozen) == ([3, 3], [2, 2], None)


def test_at_weight_0_a_discriminator_leaves_the_bits_of_its_twin(found):
    for one in found:
        assert_equal(one["learnt"]["weight 0"]["network"], one["learnt"]["supervised"]["network"])


@pytest.mark.parametrize("images", ["train", "val"])  # of the second there is one batch for two processes
def test_two_processes_count_as_one_does(found, images):
    expected, miou = evaluated(images=images)
    for one in found:
        counts, its_miou = one["evaluated"][images]
        assert its_miou == miou
        for field in fields(expected):
            ours, theirs = getattr(counts, field.name), getattr(expected, field.name)
            if isinstance(theirs, np.ndarray):
                np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
            else:
                assert ours == theirs


def test_a_stop_ends_both_at_one_step_and_both_resume_bit_equal(found):
    for one in found:
        steps, resumed = one["in parts"]
        assert steps == 3
        assert_equal(resumed, one["at once"])


def test_a_budget_in_seconds_is_spent_by_the_clock_of_the_first(found):
    assert found[0]["for a while"] == found[1]["for a while"]


def test_nothing_listens_beyond_the_loopback_interface(found):
    assert found[0]["listens on"] | found[1]["listens on"] == {"0100007F"}


def test_each_drops_what_it_draws_and_all_draw_the_same_afterwards(found):
    (output, afterwards), (other, its_afterwards) = (one["dropped"] for one in found)
    assert torch.equal(output, other)
    assert not torch.equal(output[:2] == 0, output[2:] == 0)
    assert torch.equal(afterwards, its_afterwards)


def test_draws_of_its_own_leave_what_follows_unless_there_were_any():
    def draws(inside: int) -> list[float]:
        torch.manual_seed(0)
        with draws_of_its_own(1, CPU):
            own = torch.rand(inside)
        with draws_of_its_own(1, CPU):
            next_own = torch.rand(inside)
        assert inside == 0 or not torch.equal(own, next_own)
        return torch.rand(2).tolist()

    torch.manual_seed(0)
    untouched = torch.rand(2).tolist()
    assert draws(0) == untouched
    assert draws(1) != untouched


def test_what_cannot_be_divided_is_passed_whole_and_never_learnt_from():
    spread, images = Ranks(0, 2).spread(torch.nn.Identity()), torch.ones(3, 1)
    with torch.no_grad():
        assert spread(images) is images
    with pytest.raises(CellError, match="to learn from 3 images, which 2 processes cannot divide"):
        spread(images)


def test_alone_everything_is_returned_as_it_was_given():
    network = torch.nn.Identity()
    assert ALONE.spread(network) is network
    assert ALONE.agree(0.5) == 0.5
    assert ALONE.largest(None) is None
    assert list(ALONE.deal("abc")) == ["a", "b", "c"]
