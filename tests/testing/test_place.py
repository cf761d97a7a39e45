from __future__ import annotations

import functools

from segbench import Component
from segbench.registry import Offer
from segbench.testing.place import place_of


def build(in_channels):
    return in_channels.missing


def offered(build):
    return Offer("generator", "tests", "tests", "1.0", Component("given", build, "Given by a test"))


def raised_by(build):
    try:
        build(1)
    except AttributeError as error:
        return error
    raise AssertionError("it was to fail")


def test_the_innermost_line_of_the_components_own_code_is_named():
    line = build.__code__.co_firstlineno + 1
    assert place_of(raised_by(build), offered(build)) == f" (test_place.py, line {line}, in build)"


def test_the_line_is_found_through_what_was_raised_from_it():
    wrapped = RuntimeError("in a check")
    wrapped.__cause__ = raised_by(build)
    assert ", in build)" in place_of(wrapped, offered(functools.partial(build)))


def test_an_error_from_elsewhere_has_no_place_in_it():
    assert place_of(ValueError("elsewhere"), offered(build)) == ""
    assert place_of(raised_by(build), offered(len)) == ""
