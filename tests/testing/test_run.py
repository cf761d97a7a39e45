from __future__ import annotations

from typing import NamedTuple

import pytest

from segbench.errors import ComponentError
from segbench.registry import load_registry
from segbench.testing import check_component, parametrize_with_checks
from segbench.testing.catalogue import checks_for

PLUGIN = """
from segbench import Component, hookimpl

def build(in_channels, num_classes, *, width: int = 16):
    '''Build a net of some `width`.'''
    from torch import nn

    return nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, num_classes, 1))

def build_unused(in_channels, num_classes):
    net = build(in_channels, num_classes)
    net.forgotten = net[0].__class__(1, 1, 1)
    net.forward = lambda images: net[2](net[1](net[0](images)))
    return net

UNREACHED = {"training_reaches_every_parameter": "one layer is for show"}

@hookimpl
def segbench_generators():
    yield Component("net", build, "Two convolutions")
    yield Component("unused", build_unused, "Two convolutions and one for show")
    yield Component("excused", build_unused, "Two convolutions and one for show", known_failures=UNREACHED)
    yield Component("passing", build, "Two convolutions", known_failures=UNREACHED)
"""


TEST = """
from segbench.testing import parametrize_with_checks

@parametrize_with_checks("generator", "mine/{name}")
def test_contract(check):
    check()
"""


class Case(NamedTuple):
    outcome: str
    text: str


class Reports:
    """Collects what came of each case."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.skipped:
            name = report.nodeid.partition("[")[2].rstrip("]")
            reason = getattr(report, "wasxfail", None)
            outcome = report.outcome if reason is None else "xfailed"
            self.cases[name] = Case(outcome, reason or report.longreprtext or str(report.longrepr))


@pytest.fixture
def installed(install_plugin):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": PLUGIN})


def run(folder, name: str, *selection: str) -> dict[str, Case]:
    file = folder / f"test_{name}.py"
    file.write_text(TEST.format(name=name))
    reports = Reports()
    options = ("-p", "no:cacheprovider", "-p", "no:terminal", "--import-mode=importlib")
    pytest.main([str(file), "-c", "/dev/null", f"--rootdir={folder}", *options, *selection], plugins=[reports])
    return reports.cases


@pytest.mark.usefixtures("installed")
def test_every_check_that_is_not_slow_is_a_case_of_its_name(tmp_path):
    cases = run(tmp_path, "net")
    checks = checks_for(load_registry().find("generator", "mine/net"))
    assert list(cases) == [check.name for check in checks if not check.slow]
    assert {case.outcome for case in cases.values()} == {"passed", "skipped"}
    assert "it makes labels, not images" in cases["colours_lie_between_minus_one_and_one"].text


@pytest.mark.usefixtures("installed")
def test_a_fault_fails_its_case_with_what_was_found_and_the_cure(tmp_path):
    cases = run(tmp_path, "unused")
    [(name, case)] = [(name, case) for name, case in cases.items() if case.outcome == "failed"]
    assert name == "training_reaches_every_parameter"
    assert "no gradient reaches forgotten.weight, forgotten.bias" in case.text
    assert "Cure: Use every parameter in training" in case.text


@pytest.mark.usefixtures("installed")
def test_a_known_failure_is_expected_with_its_reason_and_strictly(tmp_path):
    check = "training_reaches_every_parameter"
    assert run(tmp_path, "excused", "-k", check)[check] == ("xfailed", "one layer is for show")
    passing = run(tmp_path, "passing", "-k", check)[check]
    assert passing.outcome == "failed"
    assert "[XPASS(strict)]" in passing.text


@pytest.mark.usefixtures("installed")
def test_slow_checks_come_in_when_asked_for():
    def names(**options):
        return [case.id for case in parametrize_with_checks("generator", "mine/net", **options).args[1]]

    assert set(names(slow=True)) - set(names()) == {"compiled_network_gives_the_same"}


@pytest.mark.usefixtures("installed")
def test_the_results_can_be_had_without_pytest():
    faults = [result for result in check_component("generator", "mine/unused") if result.outcome == "failed"]
    assert [result.check for result in faults] == ["training_reaches_every_parameter"]


@pytest.mark.parametrize("function", [parametrize_with_checks, check_component])
def test_an_unknown_kind_or_name_says_what_there_is(function):
    with pytest.raises(ComponentError, match=r"unknown kind 'generators'\. Did you mean 'generator'\? Available: "):
        function("generators", "basic/fcn")
    with pytest.raises(ComponentError, match=r"unknown generator 'basic/fcm'\. Did you mean 'basic/fcn'\? Available: "):
        function("generator", "basic/fcm")
