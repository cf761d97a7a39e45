"""`segbench show`: one component, its options, and what is in a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .completion import complete_component, complete_kind
from .list import describe
from .options import DatasetOptions, Json, Root, parse_kind, parse_options
from .output import columns, print_content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.contract import Dataset
    from segbench.registry import Offer


def show(
    kind: Annotated[
        str, typer.Argument(help="generator, discriminator, loss or dataset.", autocompletion=complete_kind)
    ],
    name: Annotated[
        str,
        typer.Argument(
            help="Full name (smp/unet), or short name if only one component has it.", autocompletion=complete_component
        ),
    ],
    root: Root = None,
    option: DatasetOptions = None,
    json: Json = False,
) -> None:
    """Show a component: its options with types and defaults, where it comes from, and what is in a dataset."""
    from segbench.registry import load_registry
    from segbench.registry.options import installed_versions

    offer = load_registry().find(parse_kind(kind), name)
    described = {**describe(offer), "requires": installed_versions(offer), "options": _options(offer)}
    described["documentation"] = _documentation(offer, [option["name"] for option in described["options"]])
    if offer.kind == "dataset":
        described["data"] = _data(offer, root, parse_options(option or []))
    elif root is not None or option:
        raise typer.BadParameter("--root and --option are for datasets only")
    print_content(described, json, _as_text)


def _options(offer: Offer) -> list[dict[str, Any]]:
    return [
        {"name": option.name, "type": option.type, "required": option.required, "default": option.default}
        for option in offer.signature.options
    ]


def _documentation(offer: Offer, options: list[str]) -> list[str]:
    """Return the docstring of `build`, and those of its module and packages that document further options."""
    from segbench.registry.options import read_docstrings

    own, *others = read_docstrings(offer.component.build)
    texts = [own]
    for text in others:
        if any(f"`{name}`" in text and not any(f"`{name}`" in shown for shown in texts) for name in options):
            texts.append(text)
    return [text for text in texts if text]


def _data(offer: Offer, root: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the data, or say why it cannot be opened: an option left out or missing files are no error here."""
    from segbench.errors import DataError, OptionError
    from segbench.registry.datasets import open_dataset
    from segbench.registry.output import send_output_to_stderr

    try:
        with send_output_to_stderr():
            return _contents(open_dataset(offer, root, options))
    except DataError as error:
        return {"not_opened": str(error)}
    except OptionError as error:
        if root is not None or options:
            raise
        return {"not_opened": str(error)}


def _contents(dataset: Dataset) -> dict[str, Any]:
    return {
        "images": {name: len(split) for name, split in dataset.splits.items()},
        "channels": dataset.channels,
        "classes": [*dataset.classes],
        "ignore_index": dataset.ignore_index,
        "licence": dataset.licence,
        "redistributable": dataset.redistributable,
        "citation": dataset.citation,
    }


def _as_text(described: dict[str, Any]) -> str:
    facts = [
        ("kind", described["kind"]),
        ("from", f"{described['distribution']} {described['version']}, plugin {described['plugin']!r}"),
        *((key, described[key]) for key in ("file", "maps", "role") if described[key]),
        *(("requires", f"{name} {version or '(not installed)'}") for name, version in described["requires"].items()),
        *_data_facts(described.get("data", {})),
    ]
    options = [
        (option["name"], option["type"], "(required)" if option["required"] else repr(option["default"]))
        for option in described["options"]
    ]
    return "\n".join(
        [
            f"{described['name']}: {described['summary']}",
            columns(facts, indent="  "),
            "options" if options else "no options",
            *([columns([("NAME", "TYPE", "DEFAULT"), *options], indent="  ")] if options else []),
            *(f"\n{text}" for text in described["documentation"]),
        ]
    )


def _data_facts(data: dict[str, Any]) -> list[tuple[str, str]]:
    if "not_opened" in data or not data:
        return [("data", f"not opened: {data['not_opened']}")] if data else []
    names = ", ".join(f"{index} {name}" for index, name in enumerate(data["classes"]))
    citation, *more = data["citation"].splitlines() or [""]
    return [
        ("images", ", ".join(f"{count} {split}" for split, count in data["images"].items())),
        ("channels", str(data["channels"])),
        ("classes", f"{len(data['classes'])}: {names}"),
        ("ignore_index", str(data["ignore_index"])),
        ("licence", data["licence"]),
        ("redistributable", "yes" if data["redistributable"] else "no: pages of reports leave its images out"),
        ("citation", citation),
        *(("", line) for line in more),
    ]
