"""What pyproject.toml lists by hand is what there is."""

from __future__ import annotations

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


# A package of data: what `segbench new` copies, packages among it.
TEMPLATE = "segbench_template"


def packages_below(folder: str) -> set[str]:
    """Return the dotted names of the packages below a folder of the repository."""
    base = ROOT / folder
    inits = base.rglob("__init__.py")
    names = {".".join(path.parent.relative_to(base).parts) for path in inits} - {""}
    return {name for name in names if not name.startswith(f"{TEMPLATE}.")}


def test_every_package_is_listed_for_the_wheel():
    core = {f"segbench.{name}" for name in packages_below("segbench")}
    expected = {"segbench", "segbench.benchmarks"} | core | packages_below("plugins")
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected


def test_every_file_of_the_package_that_is_no_module_is_listed_for_the_wheel():
    base = ROOT / "segbench"
    others = {path for path in base.rglob("*.*") if path.suffix not in (".py", ".pyc")}
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["segbench"]
    assert others == {path for pattern in patterns for path in base.glob(pattern)}


def test_every_plugin_package_has_its_entry_point():
    listed = PROJECT["project"]["entry-points"]["segbench"]
    assert set(listed.values()) == {name for name in packages_below("plugins") if "." not in name} - {TEMPLATE}
    installed = {point.name: point.value for point in entry_points(group="segbench")}
    assert listed.items() <= installed.items()
