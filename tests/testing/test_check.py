from __future__ import annotations

import functools

import pytest

from segbench import DataError
from segbench.testing.check import Check, CheckFailed, CheckSkipped, check, find_place, run_check

from .conftest import make_offer


def offer(**fields):
    """A component whose own code, unlike that of these checks, is in no file."""
    return make_offer("loss", object, **fields)


def raising(error, **fields) -> Check:
    def some_fact(offer):
        if error is not None:
            raise error

    return Check("some_fact", some_fact, "Correct it.", **fields)


def test_a_check_is_named_after_its_function():
    @check("Correct it.", slow=True)
    def all_is_well(offer): ...

    assert (all_is_well.name, all_is_well.cure, all_is_well.slow, all_is_well.required) == (
        "all_is_well",
        "Correct it.",
        True,
        True,
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, ("passed", "", "")),
        (CheckFailed("3 channels, not 4"), ("failed", "3 channels, not 4", "Correct it.")),
        (CheckSkipped("it makes no labels"), ("skipped", "it makes no labels", "")),
        (KeyError("x"), ("failed", "KeyError: 'x'", "Correct it.")),
        (DataError("no such folder"), ("failed", "no such folder", "Correct it.")),
        (SystemExit(3), ("failed", "SystemExit: 3", "Correct it.")),
    ],
)
def test_what_a_check_finds_is_its_result(error, expected):
    assert run_check(raising(error), offer())[1:] == expected


def test_a_known_failure_is_reported_with_its_reason_and_is_no_fault():
    known = offer(known_failures={"some_fact": "for want of time"})
    assert run_check(raising(CheckFailed("no")), known)[1:] == ("known failure", "for want of time", "")


def test_a_known_failure_that_passes_must_be_struck_off():
    known = offer(known_failures={"some_fact": "for want of time"})
    assert run_check(raising(None), known).outcome == "unexpected pass"


def test_what_is_not_required_is_reported_and_is_no_failure():
    assert run_check(raising(CheckFailed("no"), required=False), offer())[1:] == ("reported", "no", "Correct it.")


def test_what_cannot_be_built_for_want_of_a_library_is_skipped():
    lacking = offer(requires=("no-such-library",))
    result = run_check(raising(KeyError("x")), lacking)
    assert result.outcome == "skipped"
    assert "needs no-such-library, not installed here: pip install no-such-library" in result.message
    assert run_check(raising(CheckFailed("no"), builds=False), lacking).outcome == "failed"


def test_a_check_leaves_the_process_as_it_was(monkeypatch):
    import os
    import random

    monkeypatch.delenv("SEGBENCH_STRAY", raising=False)
    before = random.getstate()

    def some_fact(offer):
        random.random()
        os.environ["SEGBENCH_STRAY"] = "1"

    assert run_check(Check("some_fact", some_fact, ""), offer()).outcome == "passed"
    assert random.getstate() == before
    assert "SEGBENCH_STRAY" not in os.environ


def build(in_channels):
    return in_channels.missing


def make_generator(build):
    return make_offer("generator", build)


def raised_by(build):
    try:
        build(1)
    except AttributeError as error:
        return error
    raise AssertionError("it was to fail")


def test_the_innermost_line_of_the_components_own_code_is_named():
    line = build.__code__.co_firstlineno + 1
    assert find_place(raised_by(build), make_generator(build)) == f" (test_check.py, line {line}, in build)"


def test_the_line_is_found_through_what_was_raised_from_it():
    wrapped = RuntimeError("in a check")
    wrapped.__cause__ = raised_by(build)
    assert ", in build)" in find_place(wrapped, make_generator(functools.partial(build)))


def test_an_error_from_elsewhere_has_no_place_in_it():
    assert find_place(ValueError("elsewhere"), make_generator(build)) == ""
    assert find_place(raised_by(build), make_generator(len)) == ""
