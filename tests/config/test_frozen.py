from __future__ import annotations

from pydantic import BaseModel

from segbench.config.frozen import Frozen, added, with_added


class Inner(Frozen):
    old: int = 1
    new: bool | str = added(False)


class Outer(Frozen):
    inner: Inner = Inner()
    newer: tuple[float, ...] | None = added(None)


def test_an_added_field_leaves_a_trace_only_where_it_differs_from_its_default():
    assert Outer().model_dump(mode="json") == {"inner": {"old": 1}}
    assert Outer(inner=Inner(new=False), newer=None).model_dump() == {"inner": {"old": 1}}
    given = Outer(inner=Inner(new=True), newer=(0.5,))
    assert given.model_dump(mode="json") == {"inner": {"old": 1, "new": True}, "newer": [0.5]}
    assert Outer.model_validate_json(given.model_dump_json()) == given


def test_the_defaults_of_added_fields_are_filled_in_and_nothing_else_is():
    assert with_added(Outer, {"inner": {"old": 2}}) == {"inner": {"old": 2, "new": False}, "newer": None}
    assert with_added(Outer, {"inner": {"new": "x"}, "newer": [1.0]}) == {"inner": {"new": "x"}, "newer": [1.0]}
    assert with_added(Outer, {}) == {"newer": None}
    assert with_added(Outer, {"inner": None}) == {"inner": None, "newer": None}


def test_models_that_hold_others_in_lists_are_left_as_they_are():
    class Holder(BaseModel):
        several: list[Inner] = []

    assert with_added(Holder, {"several": [{"old": 1}]}) == {"several": [{"old": 1}]}
