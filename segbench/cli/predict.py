"""`segbench predict`: write the label maps that a recorded cell predicts for image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .options import CellArgument, CellMethod, CellSeed, Device, find_cell
from .output import columns, read_notes, say, warn

if TYPE_CHECKING:
    from segbench.engine.prediction.pseudo_labels import PseudoLabelReport
    from segbench.engine.recorded import RecordedNetwork


def predict(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for what is written.")],
    cell: CellArgument = None,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGES...", help="Image files, arrays of zarr, or folders of them.")
    ] = None,
    method: CellMethod = None,
    seed: CellSeed = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Where keys are looked up.")] = Path("results"),
    device: Device = "auto",
    explain: Annotated[bool, typer.Option("--explain", help="Also write the evidence for each prediction.")] = False,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="The network's layer that --explain looks at.")
    ] = None,
    pseudo_labels: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            help="Instead of label maps, write a dataset for training; pixels below probability T are ignored.",
        ),
    ] = None,
    orientation: Annotated[
        Literal["apply", "stored"] | None,
        typer.Option(help="Take images with an orientation tag as shown, or as stored."),
    ] = None,
    max_pixels: Annotated[int | None, typer.Option(metavar="N", min=1, help="The largest width times height.")] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="DIR", help="True label maps, to measure how accurate the pseudo-labels are.")
    ] = None,
) -> None:
    """Write the label map of each image as a palette PNG of its size, and the image with its labels over it.

    Of an array of zarr the label map is such an array, and alone.
    --explain adds the evidence for each class (Grad-CAM) and the discriminator's scores, if one was kept.
    """
    from segbench.engine.prediction.predict import load_cell

    _check_options(explain, layer, pseudo_labels, truth)
    images = [*([Path(cell)] if method and cell else []), *(images or [])]
    if not images:
        raise typer.BadParameter(f"give image files, or folders of them{'' if method else ', behind the cell'}")
    record = find_cell(None if method else cell, method, seed, results)
    recorded = load_cell(record, device, orientation, max_pixels)
    warn(*recorded.warnings)
    if pseudo_labels is not None:
        _write_pseudo_labels(recorded, images, output, pseudo_labels, truth)
    else:
        _predict(recorded, images, output, explain, layer)


def _check_options(explain: bool, layer: str | None, pseudo_labels: float | None, truth: Path | None) -> None:
    if layer is not None and not explain:
        raise typer.BadParameter("--layer is for --explain; give that too")
    if truth is not None and pseudo_labels is None:
        raise typer.BadParameter("--truth is for --pseudo-labels T; give that too, or use `segbench score`")
    if explain and pseudo_labels is not None:
        raise typer.BadParameter("--explain goes with label maps, not with --pseudo-labels; run both, one by one")


def _predict(recorded: RecordedNetwork, images: list[Path], output: Path, explain: bool, layer: str | None) -> None:
    from segbench.engine.prediction.predict import explain_files, predict_files

    written = explain_files(recorded, images, output, layer) if explain else predict_files(recorded, images, output)
    count = 0
    try:
        for path in written:
            say(path)
            count += 1
    except KeyboardInterrupt as stop:
        say("\n".join([f"stopped; label maps written: {count}", *read_notes(stop)]), err=True)
        raise


def _write_pseudo_labels(
    recorded: RecordedNetwork, images: list[Path], output: Path, threshold: float, truth: Path | None
) -> None:
    from segbench.engine.prediction.pseudo_labels import write_pseudo_labels

    report = write_pseudo_labels(recorded, images, output, threshold, truth)
    say(table(report))
    missing = [entry.name for entry in report.classes if not entry.kept]
    warn(*(f"no pixel is labelled {name}; training needs `absent_classes: allow`" for name in missing))
    options = "".join(f", {name}: {value}" for name, value in _folder_options(recorded).items())
    say(f"train on it with {{use: data/folder, root: {output}{options}}}")
    say("its only split is train; to score on true labels, add images and masks and name them in splits/test.txt")


def _folder_options(recorded: RecordedNetwork) -> dict[str, object]:
    """Return the options of data/folder that differ from what it reads by default."""
    dataset = recorded.dataset
    usual = type(dataset.reading)()
    options = {name: value for name, value in vars(dataset.reading).items() if value != getattr(usual, name)}
    return options if dataset.channels == 3 else {"channels": dataset.channels, **options}


def table(report: PseudoLabelReport) -> str:
    """Return how many pixels of each class were kept and, where the truth is known, how many of them are right."""
    total = [f"all {report.images} images", _percent(report.coverage), _percent(1.0)]
    found = [[entry.name, _percent(entry.coverage), _percent(entry.share)] for entry in report.classes]
    rows = [["class", "coverage", "share"], *found, total]
    if report.judged:
        rows[0] += ["true share", "accuracy", "IoU"]
        for row, entry in zip(rows[1:], report.classes, strict=False):
            row += map(_percent, (entry.truth_share, entry.accuracy, entry.iou))
        rows[-1] += [_percent(1.0), _percent(report.pixel_accuracy), _percent(report.miou)]
    if report.drift is None:
        return columns(rows)
    return f"{columns(rows)}\ntotal variation distance between share and true share: {_percent(report.drift)}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
