"""Conformance checks for the components of a plugin: `segbench check` on the command line, or in its own tests.

from segbench.testing import parametrize_with_checks

@parametrize_with_checks("generator", "my-net")
def test_my_net_keeps_to_the_contract(check):
    check()
"""

from __future__ import annotations

from .check import Check, CheckFailed, CheckSkipped, Result
from .run import check_component, parametrize_with_checks

__all__ = ["Check", "CheckFailed", "CheckSkipped", "Result", "check_component", "parametrize_with_checks"]
