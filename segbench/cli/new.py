"""`segbench new`: a complete package for a component of one's own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from .completion import complete_kind
from .options import parse_kind
from .output import say
from .schema import MODELINE, SCHEMA_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from segbench.contract import Kind


Role = Literal["supervised", "adversarial", "penalty", "unlabelled"]

TEMPLATES = "segbench_template"
BENCHMARK_FILE = "benchmark.yaml"


class Template(NamedTuple):
    """The name that the template of a kind has, and the module in it that its user will rewrite."""

    name: str
    module: str


TEMPLATES_BY_KIND: dict[Kind, Template] = {
    "generator": Template("my-net", "network.py"),
    "discriminator": Template("my-critic", "network.py"),
    "loss": Template("my-loss", "loss.py"),
    "dataset": Template("my-data", "dataset.py"),
}

# Names that YAML does not read as text, and folders that stand beside the package.
UNUSABLE_NAMES = frozenset({"null", "true", "false", "tests", "build"})

# What Python and pip leave in a folder of sources; tools leave hidden folders.
LEFT_OVER = ("__pycache__", ".egg-info")


def new(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="generator, discriminator, loss or dataset.", autocompletion=complete_kind),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the component and of its package, as my-net.")],
    role: Annotated[Role | None, typer.Option(help="What a loss is for. [default: supervised]")] = None,
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Folder to write NAME/ into.")] = Path(),
) -> None:
    """Write a package with a component that works: its code, its test, and a benchmark that compares it."""
    from segbench.errors import SegbenchError

    parsed = parse_kind(kind)
    if role is not None and parsed != "loss":
        raise typer.BadParameter(f"--role says what a loss is for; leave it out for a {parsed}")
    check_name(name)
    check_free(parsed, name)
    folder = into.expanduser() / name
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise SegbenchError(f"{folder} exists already: remove it, choose another name, or another folder with --into")
    write(parsed, name, folder, role or "supervised")
    say(next_steps(parsed, name, folder))


def check_name(name: str) -> None:
    """Raise ComponentError unless the name can be that of a distribution, a plugin, a component and a package."""
    from keyword import iskeyword

    from segbench.errors import ComponentError

    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name) or iskeyword(name) or name in UNUSABLE_NAMES:
        better = suggest_name(name)
        suggestion = f" Perhaps {better!r}?" if better else ""
        raise ComponentError(
            f"{name!r} cannot be the name of a package: use lower-case letters and digits, a letter first, "
            f"with - or _ between words, and no word of Python or YAML.{suggestion}"
        )


def suggest_name(name: str) -> str:
    """Return a similar name that is allowed, or an empty string.

    >>> suggest_name("MyNet v2"), suggest_name("3d-net"), suggest_name("class"), suggest_name("!")
    ('my-net-v2', 'my-3d-net', 'my-class', '')
    """
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower())
    better = "-".join(words)
    return f"my-{better}" if better == name or better[:1].isdigit() else better


def check_free(kind: Kind, name: str) -> None:
    """Raise ComponentError if a plugin, a component of that kind, a distribution or a module has the name."""
    from segbench.errors import ComponentError
    from segbench.registry import load_registry

    registry = load_registry()
    taken = [
        *(
            f"plugin {offer.plugin!r} of {offer.distribution} {offer.version}"
            for offer in registry.installed
            if offer.plugin == name
        ),
        *(
            f"plugin {problem.plugin!r} of {problem.distribution}"
            for problem in registry.problems
            if problem.plugin == name
        ),
        *(f"{kind} {offer.full_name}" for offer in registry.offers(kind) if offer.component.name == name),
        *find_installed(name),
    ]
    if taken:
        raise ComponentError(f"the name {name!r} is taken by {taken[0]}: choose another")


def find_installed(name: str) -> Iterator[str]:
    """Yield what pip and Python would confuse with a distribution of that name and its package."""
    from contextlib import suppress
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    with suppress(PackageNotFoundError):
        yield f"the installed distribution {name} {version(name)}"
    spec = find_spec(package_name(name))
    if spec is not None and spec.origin is not None:
        yield f"the Python module {spec.name} ({spec.origin})"


def package_name(name: str) -> str:
    """Return the import name of the package.

    >>> package_name("my-net")
    'my_net'
    """
    return name.replace("-", "_")


def write(kind: Kind, name: str, folder: Path, role: Role = "supervised") -> None:
    """Copy the template of a kind into the folder, under the new name; `role` is that of a loss."""
    from importlib.resources import files

    given = TEMPLATES_BY_KIND[kind].name
    names = {given: name, package_name(given): package_name(name)}
    layers = [kind] if role == "supervised" else [kind, role]
    sources = dict(file for layer in layers for file in template_files(files(TEMPLATES) / layer))
    for path, source in sources.items():
        target = folder / rename(path, names)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        if target.suffix != ".png":
            first = MODELINE if path == BENCHMARK_FILE else ""
            content = (first + rename(content.decode(), names)).encode()
        target.write_bytes(content)


def template_files(folder: Traversable, place: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield the files below a folder of the template, each with its path in it."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(LEFT_OVER) or entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from template_files(entry, f"{place}{entry.name}/")
        else:
            yield f"{place}{entry.name}", entry


def rename(text: str, names: dict[str, str]) -> str:
    """Return the text with each of the names replaced, all at once, so that no replacement is replaced again."""
    return re.sub("|".join(names), lambda found: names[found[0]], text)


def next_steps(kind: Kind, name: str, folder: Path) -> str:
    """Say what was written and what to do next."""
    place = shlex.quote(str(folder))
    benchmark = shlex.quote(str(folder / BENCHMARK_FILE))
    schema = shlex.quote(str(folder / SCHEMA_FILE))
    return "\n".join(
        [
            f"wrote {folder}/, a package with the {kind} {name}. It works as it is:",
            "",
            f"    pip install -e {place}",
            f"    segbench check {name}",
            f"    segbench run {benchmark}",
            "",
            f"Then put yours into {folder / package_name(name) / TEMPLATES_BY_KIND[kind].module}. An editor with",
            f"yaml-language-server completes {BENCHMARK_FILE} after: segbench schema -o {schema}",
        ]
    )
