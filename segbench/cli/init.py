"""`segbench init`: from a folder of images and masks to a benchmark file that runs as it is."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Output, read_value
from .output import check_can_be_written, columns, say, warn, write
from .prepare import show_progress
from .schema import MODELINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.survey.classes import Classes
    from segbench.survey.survey import Survey


def init(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder that holds images and masks.")],
    output: Output = None,
    images: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of the images in DATA.")] = None,
    masks: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of the masks in DATA.")] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="[A,B]", help="Names of the classes in the order that is shown without it.")
    ] = None,
    ignore: Annotated[
        str | None,
        typer.Option(metavar="VALUE", help="What is void in masks: 255, [254, 255], a colour [0, 0, 0], or none."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, also on a terminal.")] = False,
) -> None:
    """Look at a folder of images and masks, and write its dataset.json and a benchmark file that runs as it is.

    It says what it saw and what it guessed. Layouts: folders side by side, masks beside images, folders of splits,
    split files, VOC, Cityscapes, exports of CVAT, Label Studio and Roboflow; masks of values, palettes and colours.
    Polygons (COCO, LabelMe) and brushes (Label Studio) become masks where there are none.
    """
    from segbench.errors import SegbenchError
    from segbench.registry import load_registry
    from segbench.survey.survey import survey_folder

    root = data.expanduser()
    name = name_of(root)
    file = Path(f"{name}.yaml") if output is None else output
    if file.exists():
        raise SegbenchError(f"{file} exists already: remove it, or name another file with -o")
    check_can_be_written(file)
    survey = survey_folder(root, load_registry(), watch_masks, images, masks)
    say("\n".join([f"{root}: {survey.layout}", *survey.remarks]))
    if survey.masks is None or survey.described:
        if classes is not None or ignore is not None:
            raise SegbenchError(refuse_names(root, survey))
        found = read_described(survey)
    else:
        found = choose_classes(survey, classes, ignore, asks=is_terminal() and not yes)
    write_files(root, name, file, survey, found)


def refuse_names(root: Path, survey: Survey) -> str:
    """Return why --classes and --ignore change nothing, and what does."""
    from segbench.survey.survey import DESCRIPTION

    if not survey.described:
        return f"{root}: {survey.use} knows its classes, so --classes and --ignore change nothing"
    return (
        f"{root / DESCRIPTION} names the classes already, so --classes and --ignore change nothing; change the names "
        "there, or remove that file"
    )


def is_terminal() -> bool:
    """Whether a person may be asked."""
    return sys.stdin.isatty()


def name_of(root: Path) -> str:
    """Return the name of a folder as benchmarks and datasets may be named.

    >>> name_of(Path("photos/my cells (2)"))
    'my-cells-2'
    """
    return re.sub(r"[^A-Za-z0-9._+]+", "-", root.resolve().name).strip("-._+") or "mine"


def watch_masks(masks: list[Path]) -> Iterator[Path]:
    """Yield masks, and show how many have been looked at."""
    with show_progress("masks", len(masks)) as advance:
        for mask in masks:
            yield mask
            advance()


def read_described(survey: Survey) -> Classes | None:
    """Return how masks hold the classes of a dataset.json that is there; None where that is for the dataset to say."""
    from segbench.survey.classes import UnclearVoid, settle_classes

    if survey.masks is None:
        return None
    try:
        found = settle_classes(survey.masks, survey.named)
    except UnclearVoid:
        return None
    return found.renamed(list(survey.described)) if len(found.names) == len(survey.described) else None


def choose_classes(survey: Survey, names: str | None, ignore: str | None, *, asks: bool) -> Classes:
    """Return the classes: as flags say, as a person answers where one is asked, else guessed."""
    from segbench.survey.classes import UnclearVoid, settle_classes

    assert survey.masks is not None, "classes are chosen where none are known"
    try:
        found = settle_classes(survey.masks, survey.named, None if ignore is None else read_void(ignore))
    except UnclearVoid as unclear:
        if not asks:
            raise
        say(str(unclear).partition(";")[0])
        void = read_void(typer.prompt("Which is void", default="none"))
        found = settle_classes(survey.masks, survey.named, void)
    if names is not None:
        return found.renamed(read_value(names, f"--classes {names}"))
    if asks and found.made_up:
        say(f"nothing names {', '.join(found.made_up)}")
        answer = typer.prompt("Names of all classes, with commas", default=", ".join(found.names))
        return found.renamed([part.strip() for part in answer.split(",")])
    return found


def read_void(text: str) -> list[Any]:
    """Return the values, or the colour or colours, that are void; SpecError if it is no YAML."""
    value = [] if text == "none" else read_value(text, f"--ignore {text}")
    return value if isinstance(value, list) else [value]


def write_files(root: Path, name: str, file: Path, survey: Survey, found: Classes | None) -> None:
    """Write dataset.json, where there is none, and the benchmark file; say what they are made of."""
    from segbench.survey.benchmark import describe_images, describe_splits, write_benchmark
    from segbench.survey.survey import DESCRIPTION

    say(f"  {describe_images(survey)}: {describe_splits(survey)}")
    options = dict(survey.options)
    absent: list[str] = []
    if found is not None:
        say(describe_classes(survey, found))
        if len(found.names) == 1:
            warn("with one class alone every label map is right; look whether the masks are whole")
        options |= found.options
        absent = find_scarce(survey, found)
        if not survey.described:
            write_description(root / DESCRIPTION, found)
    text = write_benchmark(name, place_beside(root, file), survey, options, absent)
    write(file, MODELINE + text)
    shown = shlex.quote(str(file))
    say(f"\nNext: segbench plan {shown}    what it can show\n      segbench run {shown}")


def write_description(file: Path, found: Classes) -> None:
    """Write dataset.json; RecordError that says what else to do where the folder cannot be written."""
    from segbench.errors import RecordError

    try:
        write(file, json.dumps(found.description, indent=1, ensure_ascii=False) + "\n")
    except RecordError as error:
        cause = getattr(error.__cause__, "strerror", None) or error.__cause__
        raise RecordError(
            f"cannot write {file}: {cause}; give a folder that you may write to, such as one with links to the images "
            "and masks"
        ) from error


def describe_classes(survey: Survey, found: Classes) -> str:
    """Say what the classes are, by what they are told in masks, and what of it was guessed."""
    from segbench.errors import list_some
    from segbench.survey.survey import DESCRIPTION

    rows = [(name, _code_text(code)) for name, code in zip(found.names, found.codes, strict=True)]
    named_in = DESCRIPTION if survey.described else survey.names_in
    given = f"as {named_in} names them" if named_in else "by what masks hold"
    guesses = [f"{'guessed: ' * found.void_is_guessed}{describe_void(survey, found)}"]
    if found.made_up:
        guesses.append(f"guessed: the names {list_some(found.made_up)}; write better ones into dataset.json")
    return "\n".join([f"  {len(rows)} class{'es' * (len(rows) != 1)}, {given}:", columns(rows, "    "), *guesses])


def describe_void(survey: Survey, found: Classes) -> str:
    """Say what is void, and what of it no mask holds."""
    assert survey.masks is not None, "masks were looked at to find classes"
    void = " and ".join(map(_code_text, found.void)) or "no pixel"
    absent = " and ".join(_code_text(code) for code in found.void if not survey.masks.count(code))
    return f"{void} {'are' if len(found.void) > 1 else 'is'} void" + (f", but no mask holds {absent}" if absent else "")


def find_scarce(survey: Survey, found: Classes) -> list[str]:
    """Return the classes that a training may not see: those of too few masks for folds, or of none in train."""
    from segbench.survey.benchmark import FOLDS, has_folds

    assert survey.masks is not None, "masks were looked at to find classes"
    assert survey.learnt is not None, "and so were those of train"
    counted, needed = (survey.masks, FOLDS) if has_folds(survey) else (survey.learnt, 1)
    return [name for name, code in zip(found.names, found.codes, strict=True) if counted.count(code) < needed]


def place_beside(root: Path, file: Path) -> str:
    """Return how a benchmark file names a folder: relative where it lies below the file's folder."""
    folder, base = root.resolve(), file.resolve().parent
    return folder.relative_to(base).as_posix() if folder.is_relative_to(base) else str(folder)


def _code_text(code: object) -> str:
    return str(list(code)) if isinstance(code, tuple) else str(code)
