"""Offers made on the spot, and plugins that misbehave, installed beside one that works."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from segbench import Component
from segbench.registry import Offer

if TYPE_CHECKING:
    from collections.abc import Callable

# A plugin with the loss `good`.
GOOD = """
from segbench import Component, hookimpl

def build(num_classes, *, gamma: float = 2.0):
    return num_classes, gamma

@hookimpl
def segbench_losses():
    yield Component("good", build, "Works")
"""


@pytest.fixture
def offer() -> Callable[..., Offer]:
    """Make an offer of plugin `mine` in the distribution `my-dist 1.0` from a build function."""

    def make(kind: str, build: Callable[..., Any], name: str = "thing", **fields: Any) -> Offer:
        return Offer(kind, "mine", "my-dist", "1.0", Component(name, build, "A thing", **fields))

    return make


@pytest.fixture
def installed(install_plugin):
    """Install a plugin that begins with the given code, and another one beside it."""

    def installed(code, name="mine"):
        install_plugin(f"{name}-dist", {name: f"{name}_plugin"}, {f"{name}_plugin.py": f"{code}\n{GOOD}"})
        install_plugin("other-dist", {"other": "other_plugin"}, {"other_plugin.py": GOOD})
        return install_plugin.folder

    return installed


def run(folder, *arguments, **environment):
    """Run the program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "segbench", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
    )
