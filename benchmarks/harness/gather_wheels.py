"""Gather the wheels that a machine without a package index lacks, segbench's own among them, in a folder to carry.

    python -m pip list --format=freeze > there.txt          # on that machine
    python benchmarks/harness/gather_wheels.py FOLDER --there there.txt [--python 3.12] [--platform x86_64]
    python -m pip install --no-index --no-deps --target SITE FOLDER/*.whl && export PYTHONPATH=SITE     # there

What segbench and the tests that need a GPU require is followed through what is installed here; of that, what the other
machine has in a version that will do is left out. The others are fetched in the versions of here, with pip as it is set
up, which says what has no wheel for that machine; nothing is built but segbench.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parents[2]
# What those tests import beside segbench and its requirements.
TESTS = ("pytest", "pytest-xdist", "hypothesis", "scikit-learn")
GLIBC = range(5, 40)  # pip takes the wheels of exactly the releases of glibc, 2.N, that it is given


def main() -> None:
    """Gather the wheels and print what they weigh."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--there", type=Path, required=True, help="what the other machine has, one NAME==VERSION a line"
    )
    parser.add_argument("--python", default="3.12", help="its version of Python")
    parser.add_argument("--platform", default="x86_64", help="its processor; it runs Linux with glibc")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    pip("wheel", "--no-deps", "--wheel-dir", options.folder, REPOSITORY)
    if missing := find_missing(read_versions(options.there), options.python, options.platform):
        fetch(missing, options)
    for path in sorted(options.folder.glob("*.whl")):
        print(f"{path.stat().st_size / 1e6:6.1f} MB  {path.name}")
    print(f"{sum(path.stat().st_size for path in options.folder.glob('*.whl')) / 1e6:6.1f} MB in all")


def read_versions(file: Path) -> dict[str, str]:
    """Return versions by normalised name, empty ones for names that stand alone."""
    lines = (line.partition("==") for line in file.read_text().split())
    return {canonicalize_name(name): found for name, _, found in lines}


def find_missing(there: Mapping[str, str], python: str, platform: str) -> list[str]:
    """Return the names of distributions that the other machine needs and lacks."""
    target = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": platform}
    waiting, missing = [Requirement("segbench"), *map(Requirement, TESTS)], set()
    while waiting:
        requirement = waiting.pop()
        wanted = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if wanted not in missing and not will_do(requirement, there):
            missing.add(wanted)
            waiting += needs_of(requirement, target)
    return sorted({name for name, _ in missing} - {"segbench"})


def will_do(requirement: Requirement, there: Mapping[str, str]) -> bool:
    """Tell whether the other machine has a distribution in a version that is allowed, or in one it does not tell."""
    found = there.get(canonicalize_name(requirement.name))
    return found is not None and (not found or requirement.specifier.contains(found, prereleases=True))


def needs_of(requirement: Requirement, target: Mapping[str, str]) -> Iterator[Requirement]:
    """Yield what a distribution that is installed here requires on the other machine, for the extras asked for."""
    extras = ("", *requirement.extras)
    for one in map(Requirement, requires(requirement.name) or []):
        if one.marker is None or any(one.marker.evaluate({**target, "extra": extra}) for extra in extras):
            yield one


def fetch(names: Sequence[str], options: argparse.Namespace) -> None:
    """Fetch the wheels of distributions in their versions of here."""
    platforms = [f"manylinux_2_{release}_{options.platform}" for release in reversed(GLIBC)]
    platforms += [f"{old}_{options.platform}" for old in ("manylinux2014", "manylinux2010", "manylinux1")]
    flags = [flag for platform in platforms for flag in ("--platform", platform)]
    where = ["--python-version", options.python, "--implementation", "cp", *flags, "--only-binary", ":all:"]
    wanted = [f"{name}=={version(name)}" for name in names]
    pip("download", "--no-deps", "--dest", options.folder, *where, *wanted)


def pip(*arguments: object) -> None:
    """Run pip; end the script where it fails, with what it has said."""
    if code := subprocess.run([sys.executable, "-m", "pip", "--quiet", *map(str, arguments)]).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main()
