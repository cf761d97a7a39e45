from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from segbench.engine.seeds import derive, random_generator


@given(st.integers(), st.integers(min_value=0), st.integers(min_value=0))
def test_purposes_and_steps_have_seeds_of_their_own(seed, step, other_step):
    assert derive(seed, "order", step) != derive(seed, "noise", step)
    assert (derive(seed, "order", step) == derive(seed, "order", other_step)) == (step == other_step)
    assert 0 <= derive(seed, "order", step) < 2**63


def test_equal_seeds_give_equal_draws():
    draws = [torch.rand(3, generator=random_generator(5, "augmentation", 2)) for _ in range(2)]
    assert torch.equal(*draws)
