from __future__ import annotations

import pytest
from pydantic import ValidationError

from segbench.store.spec import check_parts

SPEC = {
    "fingerprint": "3f2a",
    "dataset": {"use": "data/camvid", "options": {}},
    "sources": {"smp": "c0ffee"},
    "method": {
        "overrides": ["optimizer.lr"],
        "against": [],
        "labels": [0.125, 1],
        "twin": None,
        "protocol": {"budget": {"epochs": 3.0, "like": None}, "batch_size": 8, "window": None, "threads": 2},
    },
}
ENVIRONMENT = {"device": "cuda:0", "threads": 8, "jobs": 2, "started": "2026-01-01T00:00:00+00:00"}


@pytest.mark.parametrize("spec", [SPEC, {}, {"scored": True}, {"of a later version": [1]}, {"method": None}])
@pytest.mark.parametrize("environment", [ENVIRONMENT, {}, {"device_name": None, "of a later version": {}}])
def test_parts_may_be_missing_or_null_and_there_may_be_others(spec, environment):
    check_parts(spec, environment)


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"method": []}, "spec.method"),
        ({"method": {"labels": True}}, "spec.method.labels"),
        ({"method": {"against": 5}}, "spec.method.against"),
        ({"method": {"overrides": [1]}}, "spec.method.overrides.0"),
        ({"method": {"twin": ["unet"]}}, "spec.method.twin"),
        ({"method": {"protocol": {"batch_size": "8"}}}, "spec.method.protocol.batch_size"),
        ({"method": {"protocol": {"budget": {"like": 5}}}}, "spec.method.protocol.budget.like"),
        ({"method": {"adversarial": {"placebo": {}}}}, "spec.method.adversarial.placebo"),
        ({"sources": ["smp"]}, "spec.sources"),
    ],
)
def test_a_part_of_another_type_is_named(spec, place):
    with pytest.raises(ValidationError) as caught:
        check_parts(spec, ENVIRONMENT)
    assert ".".join(map(str, caught.value.errors()[0]["loc"])) == place


@pytest.mark.parametrize("environment", [{"device": 0}, {"threads": {"a": 1}}, {"device_name": 5}])
def test_the_environment_is_looked_at_too(environment):
    with pytest.raises(ValidationError, match="environment"):
        check_parts(SPEC, environment)
