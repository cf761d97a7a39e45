from __future__ import annotations

import pytest

from segbench.errors import SpecError
from segbench.plan.agreement import check_agreement
from segbench.plan.repeat import with_key
from segbench.store.run_file import PlannedCell, describe_run

from .conftest import cell, method

MADE = {"fingerprint": "f" * 64, "sources": {"generator toy/net": "a" * 16}, "versions": {"torch": "2.11"}}


def planned(**changes):
    return with_key(cell(**{**MADE, **changes}))


def run_of(*cells):
    told = [
        PlannedCell(key=one.key, dataset=one.dataset_name, subset=one.subset, method=one.method.name, seed=one.seed)
        for one in cells
    ]
    specs = {one.key: one.model_dump(mode="json", exclude={"dataset": {"root"}}) for one in cells}
    return describe_run(told, specs)


def refusal(*cells, run):
    with pytest.raises(SpecError) as caught:
        check_agreement(cells, run)
    return str(caught.value)


def test_cells_of_the_run_agree_even_where_some_are_left_out():
    check_agreement([planned()], run_of(planned(), planned(seed=5)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"versions": {"torch": "2.12"}}, "torch is 2.12 here, 2.11 there"),
        ({"versions": {}}, "torch is None here, 2.11 there"),
        ({"sources": {"generator toy/net": "b" * 16}}, "the source code of generator toy/net differs"),
        ({"fingerprint": "0" * 64}, "the data of 'shapes' differs"),
        ({"seed": 7}, "the run does not have shapes / net / seed 7"),
        (
            {"method": method("other")},
            "the run has no method 'other' on 'shapes' that can be read here",
        ),
    ],
)
def test_another_plan_is_refused_with_the_reason(changes, reason):
    message = refusal(planned(**changes), run=run_of(planned()))
    assert message.startswith("1 of the 1 cells that are planned here are none of the run that was started on ")
    assert message.splitlines()[1:] == [reason, "use the same file, options, plugins, data and versions as there"]


def test_other_threads_are_told_apart_from_other_recipes():
    four = planned().method.protocol.model_copy(update={"threads": 4})
    there = planned(method=planned().method.model_copy(update={"protocol": four}))
    assert f"cells have {planned().method.protocol.threads} threads here, 4 there (--threads)" in refusal(
        planned(), run=run_of(there)
    )


def test_a_run_of_a_segbench_with_other_fields_is_refused_too():
    run = run_of(planned())
    strange = run.model_copy(update={"specs": {key: {**spec, "new": 1} for key, spec in run.specs.items()}})
    assert "that can be read here" in refusal(planned(seed=9), run=strange)


def test_another_version_of_segbench_is_told():
    run = run_of(planned()).model_copy(update={"segbench": "0.0.1"})
    assert ", 0.0.1 there; the run does not have" in refusal(planned(seed=9), run=run)
