from __future__ import annotations

import io
import signal
import sys

import pytest

from segbench.errors import PluginError
from segbench.registry import load_registry, plugins
from segbench.registry.plugins import (
    DISABLED_BY_OPTION_VARIABLE,
    DISABLED_VARIABLE,
    check_known,
    disable_plugins,
    disabled_plugins,
)

from .conftest import GOOD, run

HEAD = """
from __future__ import annotations
from segbench import Component, hookimpl
def build(num_classes): ...
"""


def yielding(component: str, build: str = "def build(num_classes): ...") -> str:
    return f"{HEAD}{build}\n@hookimpl\ndef segbench_losses():\n    yield {component}\n"


def with_build(build: str) -> str:
    return yielding("Component('thing', build, 'A thing')", build)


def names(registry) -> set[str]:
    return {offer.full_name for offer in registry.offers("loss")}


def problem(registry, plugin: str):
    return next(problem for problem in registry.problems if problem.plugin == plugin)


def test_an_installed_plugin_offers_its_components_with_their_source(install_plugin):
    install_plugin("my-dist", {"mine": "my_good"}, {"my_good.py": GOOD}, version="1.5")
    offer = load_registry().find("loss", "mine/good")
    assert (offer.kind, offer.plugin, offer.distribution, offer.version) == ("loss", "mine", "my-dist", "1.5")
    assert offer.component.summary == "Works"


def test_a_component_brings_its_examples_and_known_failures(install_plugin):
    build = "def build(num_classes, *, width: int): ..."
    source = yielding(
        "Component('a', build, 'A', example_options={'width': 8}, known_failures={'is_finite': 'it divides by zero'})",
        build,
    )
    install_plugin("my-dist", {"mine": "my_examples"}, {"my_examples.py": source})
    component = load_registry().find("loss", "mine/a").component
    assert component.example_options == {"width": 8}
    assert component.known_failures == {"is_finite": "it divides by zero"}


def test_the_hooks_may_be_methods_of_an_object(install_plugin):
    source = (
        "from segbench import Component, hookimpl\n"
        "class Plugin:\n"
        "    @hookimpl\n"
        "    def segbench_losses(self):\n"
        "        return [Component('good', lambda num_classes: None, 'Works')]\n"
        "plugin = Plugin()\n"
    )
    install_plugin("my-dist", {"mine": "my_object:plugin"}, {"my_object.py": source})
    assert "mine/good" in names(load_registry())


def test_a_hook_may_have_another_name_if_it_says_which_it_implements(install_plugin):
    source = f"{HEAD}@hookimpl(specname='segbench_losses')\ndef offer():\n    yield Component('good', build, 'Works')\n"
    install_plugin("my-dist", {"mine": "my_specname"}, {"my_specname.py": source})
    assert "mine/good" in names(load_registry())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("raise RuntimeError('no luck')", ["bad cannot be imported", "RuntimeError: no luck"], id="import"),
        pytest.param("import sys; sys.exit(3)", ["SystemExit: 3"], id="exit"),
        pytest.param("def broken(:", ["SyntaxError"], id="syntax"),
        pytest.param("", ["implements no hook", "segbench_generators"], id="no hook"),
        pytest.param(
            f"{HEAD}@hookimpl\ndef segbench_loses():\n    yield 1\n",
            ["no hook 'segbench_loses'", "segbench_datasets", "Did you mean 'segbench_losses'?"],
            id="misspelt",
        ),
        pytest.param(
            f"{HEAD}def segbench_generator():\n    yield 1\n",
            ["no hook 'segbench_generator'", "Did you mean 'segbench_generators'?"],
            id="misspelt and unmarked",
        ),
        pytest.param(
            f"{HEAD}def segbench_losses():\n    yield 1\n",
            ["segbench_losses is not marked with @hookimpl"],
            id="unmarked",
        ),
        pytest.param(
            f"{HEAD}@hookimpl(wrapper=True)\ndef segbench_losses():\n    yield 1\n", ["hook wrapper"], id="wrapper"
        ),
        pytest.param(
            f"{HEAD}@hookimpl\ndef segbench_losses():\n    1 / 0\n",
            ["segbench_losses fails: ZeroDivisionError"],
            id="hook fails",
        ),
        pytest.param(
            f"{HEAD}@hookimpl\ndef segbench_losses():\n    raise SystemExit\n", ["SystemExit"], id="hook exits"
        ),
        pytest.param(
            f"{HEAD}@hookimpl\ndef segbench_losses():\n    return Component('a', build, 'A')\n",
            ["must yield components"],
            id="returns one component",
        ),
        pytest.param(yielding("'dice'"), ["yields 'dice', which is not a Component"], id="no component"),
        pytest.param(yielding("Component('a b', build, 'A')"), ["'a b'", "without spaces and slashes"], id="name"),
        pytest.param(
            yielding("Component('a', build, 'A', maps='image -> label')"),
            ["maps is 'image -> label'", "'noise -> image, labels'", "Did you mean 'image -> labels'?"],
            id="maps",
        ),
        pytest.param(
            yielding("Component('a', build, 'A', role='supervise')"),
            ["role is 'supervise'", "penalty", "Did you mean 'supervised'?"],
            id="role",
        ),
        pytest.param(yielding("Component('a', build, 'A', requires='scipy')"), ["('scipy',)"], id="requires"),
        pytest.param(yielding("Component('a', build, 'A', requires=[1])"), ["requires is [1]"], id="requires numbers"),
        pytest.param(yielding("Component('a', build, None)"), ["'a'", "summary is None"], id="summary"),
        pytest.param(yielding("Component('a', None, 'A')"), ["build is None"], id="build"),
        pytest.param(
            yielding(
                "Component('a', build, 'A', example_options={'widht': 8})",
                "def build(num_classes, *, width: int = 64): ...",
            ),
            ["'a'", "example_options holds 'widht'", "Did you mean 'width'? Available: width"],
            id="unknown example",
        ),
        pytest.param(
            yielding("Component('a', build, 'A', example_options={'num_classes': 8})"),
            ["example_options holds 'num_classes', which is no option. Available: none."],
            id="example of no option",
        ),
        pytest.param(
            yielding("Component('a', build, 'A', example_options=[('width', 8)])"),
            ["example_options is [('width', 8)]", "a value by the name of each option"],
            id="examples in a list",
        ),
        pytest.param(
            yielding("Component('a', build, 'A', known_failures={'is_finite': ' '})"),
            ["known_failures gives ' ' for 'is_finite'", "why"],
            id="failure without reason",
        ),
        pytest.param(
            yielding("Component('a', build, 'A', known_failures=('is_finite',))"),
            ["known_failures is ('is_finite',)", "a reason by the name of each check"],
            id="failures in a tuple",
        ),
        pytest.param(
            yielding("Component('a', build, 'A'); yield Component('a', build, 'B')"), ["'a' twice"], id="twice"
        ),
        pytest.param(
            with_build("def build(num_clases): ..."),
            ["'thing'", "asks for 'num_clases'", "num_classes, ignore_index", "Did you mean 'num_classes'?"],
            id="vocabulary",
        ),
        pytest.param(with_build("def build(*, gamma=2.0): ..."), ["option 'gamma' has no type"], id="untyped option"),
        pytest.param(
            with_build("def build(*, weight: float = 1.0): ..."),
            ["option 'weight' has a reserved name", "use"],
            id="reserved option",
        ),
        pytest.param(
            with_build("def build(*, num_classes: int): ..."), ["put it before the `*`"], id="vocabulary as option"
        ),
        pytest.param(with_build("def build(**options): ..."), ["'**options'", "one by one"], id="open options"),
        pytest.param(
            with_build("def build(*, path: Path): ..."),
            ["type 'Path' of option 'path'", "name 'Path' is not defined", "TYPE_CHECKING"],
            id="unknown type",
        ),
    ],
)
def test_a_broken_plugin_is_reported_and_the_others_stay_usable(install_plugin, source, expected):
    install_plugin("bad-dist", {"bad": "bad"}, {"bad.py": source})
    install_plugin("my-dist", {"mine": "my_good"}, {"my_good.py": GOOD})
    registry = load_registry()
    assert "mine/good" in names(registry)
    assert all(offer.plugin != "bad" for offer in registry.installed)
    found = problem(registry, "bad")
    assert found.distribution == "bad-dist 1.0"
    for text in expected:
        assert text in found.message


def test_the_traceback_of_a_plugin_that_raises_is_kept(install_plugin):
    install_plugin("bad-dist", {"bad": "bad"}, {"bad.py": "def f():\n    raise KeyError('deep inside')\nf()\n"})
    assert "in f" in problem(load_registry(), "bad").traceback


def test_a_plugin_that_yields_good_components_before_it_breaks_offers_nothing(install_plugin):
    source = yielding("Component('first', build, 'A'); raise ValueError('then this')")
    install_plugin("bad-dist", {"bad": "bad"}, {"bad.py": source})
    registry = load_registry()
    assert "then this" in problem(registry, "bad").message
    assert "bad/first" not in names(registry)


def test_a_plugin_name_claimed_by_two_distributions_is_offered_by_neither_and_both_are_named(install_plugin):
    install_plugin("one-dist", {"same": "one"}, {"one.py": GOOD})
    install_plugin("two-dist", {"same": "two"}, {"two.py": GOOD.replace('"good"', '"better"')}, version="2.0")
    install_plugin("my-dist", {"mine": "my_good"}, {"my_good.py": GOOD})
    registry = load_registry()
    assert {"same/good", "same/better"}.isdisjoint(names(registry))
    assert "mine/good" in names(registry)
    message = problem(registry, "same").message
    assert "one-dist 1.0" in message
    assert "two-dist 2.0" in message


def test_a_plugin_may_take_the_name_of_a_component_of_another_plugin(install_plugin):
    install_plugin("one-dist", {"one": "one"}, {"one.py": GOOD})
    install_plugin("two-dist", {"two": "two"}, {"two.py": GOOD})
    assert {"one/good", "two/good"} <= names(load_registry())


def test_the_packages_of_this_distribution_load_without_a_problem():
    assert [problem for problem in load_registry().problems if problem.distribution.startswith("segbench ")] == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise RuntimeError('no luck')", "mine_plugin cannot be imported: RuntimeError: no luck."),
        ("import sys; sys.exit(3)", "mine_plugin cannot be imported: SystemExit: 3."),
        ("import sys; sys.exit('Bye.')", "mine_plugin cannot be imported: SystemExit: Bye."),
        ("import pytest; pytest.skip('no', allow_module_level=True)", "mine_plugin cannot be imported: Skipped: no."),
        (
            "class Odd(BaseException):\n    def __str__(self): return 1 / 0\nraise Odd",
            "mine_plugin cannot be imported: Odd.",
        ),
        ("raise MemoryError", "mine_plugin cannot be imported: MemoryError."),
        ("def f(): f()\nf()", "mine_plugin cannot be imported: RecursionError"),
        ("def __dir__(): raise OSError('no dir')", "OSError: no dir."),
    ],
)
def test_whatever_ends_the_import_ends_nothing_else(installed, code, message):
    installed(code)
    registry = load_registry()
    [problem] = registry.problems
    assert (problem.plugin, problem.distribution) == ("mine", "mine-dist 1.0")
    assert problem.message.startswith(message)
    assert problem.traceback
    assert registry.find("loss", "other/good")


def test_ctrl_c_while_a_plugin_is_loaded_interrupts(installed):
    installed("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    stdout = sys.stdout
    with pytest.raises(KeyboardInterrupt):
        load_registry()
    assert sys.stdout is stdout


def test_a_hook_that_is_interrupted_interrupts(install_plugin):
    code = "from segbench import hookimpl\n@hookimpl\ndef segbench_losses():\n    raise KeyboardInterrupt\n"
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": code})
    with pytest.raises(KeyboardInterrupt):
        load_registry()


def test_a_slow_plugin_is_named_while_it_is_still_being_loaded(installed, monkeypatch, tmp_path):
    printed = io.StringIO()
    monkeypatch.setattr(plugins, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(sys, "stderr", printed)
    # It goes on only once it has been named, and changes stderr meanwhile.
    installed(
        "import sys, time\n"
        "printed, sys.stderr, end = sys.stderr, None, time.monotonic() + 30\n"
        "while 'mine' not in printed.getvalue() and time.monotonic() < end: time.sleep(0.001)\n"
        "assert time.monotonic() < end"
    )
    registry = load_registry()
    assert (
        "plugin 'mine' (mine-dist 1.0) has been loading for 0.01 s and goes on; `--disable mine` leaves it out\n"
    ) in printed.getvalue()
    assert registry.find("loss", "mine/good")
    assert registry.seconds["mine"] >= 0.01


def test_a_crash_on_import_shows_where_it_came_from(installed):
    done = run(installed("import ctypes\ndef crash(): ctypes.string_at(0)\ncrash()"), "list")
    assert done.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in done.stderr
    assert 'mine_plugin.py", line 2 in crash' in done.stderr


def test_a_plugin_that_crashes_can_be_left_out(installed):
    folder = installed("import os; os.kill(os.getpid(), 11)")
    done = run(folder, "list", "losses", "--disable", "mine")
    assert done.returncode == 0
    assert "other/good" in done.stdout


def test_an_entry_point_that_leads_nowhere_says_what_it_must_be(install_plugin):
    install_plugin("my-dist", {"mine": "not a module!"}, {})
    [problem] = load_registry().problems
    assert problem.message == "the entry point leads to 'not a module!'; write MODULE or MODULE:OBJECT."


def test_a_distribution_without_metadata_hides_nothing(install_plugin):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": GOOD})
    (install_plugin.folder / "my-dist-1.0.dist-info" / "METADATA").unlink()
    offer = load_registry().find("loss", "mine/good")
    assert (offer.distribution, offer.version) == ("unknown", "unknown")


@pytest.fixture(autouse=True)
def own_variables(monkeypatch):
    for variable in (DISABLED_VARIABLE, DISABLED_BY_OPTION_VARIABLE):
        monkeypatch.setenv(variable, "")


def test_a_disabled_plugin_is_not_imported(install_plugin, monkeypatch, tmp_path):
    install_plugin("my-dist", {"mine": "mine"}, {"mine.py": f"{GOOD}\nopen({str(tmp_path / 'ran')!r}, 'w')"})
    install_plugin("other-dist", {"other": "other"}, {"other.py": GOOD})
    monkeypatch.setenv(DISABLED_VARIABLE, " mine , ")
    registry = load_registry()
    assert not (tmp_path / "ran").exists()
    assert [str(one) for one in registry.disabled] == [
        "plugin 'mine' (my-dist 1.0) is disabled by SEGBENCH_DISABLED_PLUGINS"
    ]
    assert registry.problems == ()
    assert registry.find("loss", "other/good")


def test_a_name_claimed_twice_can_be_disabled(install_plugin, monkeypatch):
    install_plugin("one-dist", {"same": "one"}, {"one.py": GOOD})
    install_plugin("two-dist", {"same": "two"}, {"two.py": GOOD})
    monkeypatch.setenv(DISABLED_VARIABLE, "same")
    [disabled] = load_registry().disabled
    assert sorted(disabled.distribution.split(" and ")) == ["one-dist 1.0", "two-dist 1.0"]


def test_the_option_adds_to_the_variable_and_is_named_for_those_it_disables(monkeypatch):
    monkeypatch.setenv(DISABLED_VARIABLE, "one,two")
    disable_plugins(["three", "two"])
    assert disabled_plugins() == {"one": DISABLED_VARIABLE, "two": "--disable", "three": "--disable"}


def test_an_unknown_plugin_is_refused_with_the_nearest_name():
    check_known(["losses"], ["gan", "losses"])
    with pytest.raises(PluginError) as caught:
        check_known(["losses", "lossses"], ["losses", "gan"])
    assert str(caught.value) == (
        "--disable lossses: there is no plugin of that name. Did you mean 'losses'? Available: gan, losses."
    )
