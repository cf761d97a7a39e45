from __future__ import annotations

from segbench import Component
from segbench.cli.checking import Checked, Request, check_all
from segbench.execute.workers import Died, Event, Finished
from segbench.registry import Offer, load_registry
from segbench.store.record import Failure


def checked(**component):
    build = lambda num_classes: None  # noqa: E731
    return Checked(Offer("loss", "tests", "tests", "1.0", Component("given", build, "Given by a test", **component)))


def begun(name):
    return Event("begun", {"name": name, "cure": "Mend it.", "required": True})


def ended(name, outcome):
    return Event("ended", {"check": name, "outcome": outcome, "message": "", "cure": ""})


def outcomes(one):
    return [(result.check, result.outcome) for result in one.results]


def test_a_process_that_finishes_leaves_the_results_of_its_checks():
    one = checked()
    for name in ("first", "second"):
        one.receive(begun(name))
        one.receive(ended(name, "passed"))
    assert one.end(Finished(None)) is False
    assert outcomes(one) == [("first", "passed"), ("second", "passed")]
    assert not one.faulty


def test_a_process_that_dies_fails_the_check_that_was_running_and_another_does_the_rest():
    one = checked()
    one.receive(begun("first"))
    one.receive(ended("first", "passed"))
    one.receive(begun("second"))
    assert one.end(Died(Failure(cause="exited with code 3"))) is True
    assert outcomes(one) == [("first", "passed"), ("second", "failed")]
    assert (one.results[1].message, one.results[1].cure) == ("exited with code 3", "Mend it.")
    assert one.faulty


def test_a_process_that_dies_before_its_first_check_leaves_nothing_to_do():
    one = checked()
    assert one.end(Died(Failure(cause="exited with code 3"))) is False
    assert outcomes(one) == [("checks_can_begin", "failed")]


def test_a_crash_that_the_component_lists_is_a_known_failure():
    one = checked(known_failures={"second": "needs a GPU"})
    one.receive(begun("second"))
    one.end(Died(Failure(cause="exited with code 3")))
    assert outcomes(one) == [("second", "known failure")]
    assert not one.faulty


def test_every_component_is_reported_once():
    registry, reported = load_registry(), []
    offers = [registry.find("loss", name) for name in ("losses/cross_entropy", "losses/dice")]
    found = check_all(Request(offers, jobs=2), reported.append)
    assert [one.offer for one in found] == offers
    assert sorted(one.offer.full_name for one in reported) == ["losses/cross_entropy", "losses/dice"]
    assert not any(one.faulty for one in found)
