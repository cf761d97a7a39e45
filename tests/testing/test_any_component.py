from __future__ import annotations

import functools
import sys
from typing import Literal

import pytest

from segbench import Component
from segbench.registry import Offer, load_registry
from segbench.testing.any_component import CHECKS, plugin_import_leaves_torch_alone
from segbench.testing.check import run_check


def build(num_classes: int, *, width: int = 8, norm: Literal["batch", "none"] = "batch", depth: int):
    """Build nothing; `width` is in channels, `norm` and `depth` are as you like."""


def undocumented(num_classes: int, *, width: int = 8):
    """Build nothing, of some width."""


def wrong_default(*, width: int = "wide"):
    """Build nothing of a `width`."""


RIGHT = Component("right", build, "Right in every way", example_options={"depth": 2})

WRONG = {
    "summary_is_one_line": Component("wrong", build, "One line\nand another", example_options={"depth": 2}),
    "known_failures_are_checks_with_a_reason": Component(
        "wrong", build, "Excused of nothing", example_options={"depth": 2}, known_failures={"is_perfect": "who is"}
    ),
    "options_are_documented": Component("wrong", undocumented, "Keeps its options to itself"),
    "options_have_valid_values": Component("wrong", build, "Gives no example of its depth"),
    "requirements_are_installed": Component(
        "wrong", build, "Asks for too much", example_options={"depth": 2}, requires=("no-such-library",)
    ),
}


def offer(component: Component) -> Offer:
    return Offer("loss", "mine", "my-dist", "1.0", component)


def outcomes(component: Component) -> dict[str, str]:
    return {check.name: run_check(check, offer(component)).outcome for check in CHECKS}


def test_a_right_component_passes_all_checks():
    assert set(outcomes(RIGHT).values()) == {"passed", "skipped"}


@pytest.mark.parametrize("name", WRONG)
def test_only_one_check_catches_a_wrong_component(name):
    assert [check for check, outcome in outcomes(WRONG[name]).items() if outcome == "failed"] == [name]


def test_what_an_extra_brings_may_be_missing():
    component = Component("right", build, "Optional", example_options={"depth": 2}, requires=("no-lib",), extra="all")
    assert outcomes(component)["requirements_are_installed"] == "skipped"


@pytest.mark.parametrize(
    "component",
    [
        Component("wrong", build, " "),
        Component("wrong", wrong_default, "Its own default is wrong"),
        Component("wrong", build, "Gives no reason", known_failures={"summary_is_one_line": ""}),
    ],
    ids=lambda component: component.summary,
)
def test_other_faults_of_a_component_are_found_as_well(component):
    assert "failed" in outcomes(component).values()


def test_an_option_may_be_documented_where_a_partial_function_comes_from():
    component = Component("right", functools.partial(build, depth=3), "Built in part")
    assert outcomes(component)["options_are_documented"] == "passed"


def test_an_option_may_be_documented_in_the_docstring_of_the_package(install_plugin):
    files = {
        "my_zoo/__init__.py": "'''Networks; `width` is in channels.'''\n"
        "from segbench import Component, hookimpl\n"
        "from . import networks\n"
        "@hookimpl\ndef segbench_losses():\n    yield Component('net', networks.build, 'Net')\n",
        "my_zoo/networks.py": "def build(*, width: int = 3): ...\n",
    }
    install_plugin("my-dist", {"zoo": "my_zoo"}, files)
    found = load_registry().find("loss", "zoo/net")
    assert all(run_check(check, found).outcome == "passed" for check in CHECKS)


HEAD = "from segbench import Component, hookimpl\ndef build(): ...\n@hookimpl\ndef segbench_losses():\n"


def imports(install_plugin, files):
    install_plugin("my-dist", {"mine": "my_plugin"}, files)
    return run_check(plugin_import_leaves_torch_alone, load_registry().find("loss", "mine/net"))


@pytest.mark.parametrize("importing", ["import torch", "from torch import nn", "import torch.nn.functional as F"])
def test_a_plugin_that_imports_torch_is_caught_whatever_the_statement(importing, install_plugin):
    files = {"my_plugin.py": f"{importing}\n{HEAD}    yield Component('net', build, 'Net')\n"}
    result = imports(install_plugin, files)
    assert (result.outcome, result.message) == ("failed", "importing the plugin imports torch: my_plugin -> torch")


def test_the_module_that_imports_torch_is_named_with_those_that_import_it(install_plugin):
    files = {
        "my_plugin/__init__.py": f"from . import zoo\n{HEAD}    yield Component('net', build, 'Net')\n",
        "my_plugin/zoo.py": "from . import layers\n",
        "my_plugin/layers.py": "import torch\n",
    }
    assert imports(install_plugin, files).message.endswith("my_plugin -> my_plugin.zoo -> my_plugin.layers -> torch")


def test_a_hook_that_imports_torch_is_caught_and_a_build_that_does_is_not(install_plugin):
    files = {"my_plugin.py": f"{HEAD}    import torch\n    yield Component('net', build, 'Net')\n"}
    assert imports(install_plugin, files).outcome == "failed"
    files = {"my_plugin.py": f"{HEAD}    yield Component('net', build, 'Net')\ndef build():\n    import torch\n"}
    del sys.modules["my_plugin"]
    assert imports(install_plugin, files).outcome == "passed"


def test_what_a_plugin_prints_is_not_taken_for_the_answer(install_plugin):
    files = {"my_plugin.py": f"print('[hello')\n{HEAD}    yield Component('net', build, 'Net')\n"}
    assert imports(install_plugin, files).outcome == "passed"


def test_a_file_is_imported_as_one(tmp_path):
    file = tmp_path / "experiment.py"
    file.write_text(f"{HEAD}    yield Component('net', build, 'Net')\n")
    single = Offer("loss", "experiment", file.name, "0" * 12, RIGHT, file)
    assert run_check(plugin_import_leaves_torch_alone, single).outcome == "passed"
    file.write_text("import torch\n")
    assert run_check(plugin_import_leaves_torch_alone, single).message.endswith("experiment -> torch")
    file.write_text("raise ValueError('no luck')\n")
    assert "cannot be imported: ValueError: no luck" in run_check(plugin_import_leaves_torch_alone, single).message
