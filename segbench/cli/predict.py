"""`segbench predict`: label maps of image files, by a recorded cell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    cell: Annotated[str, typer.Argument(help="A record's path, its key, or the beginning of its key.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of image files.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for what is written.")],
    results: Annotated[Path, typer.Option(metavar="DIR", help="Where keys are looked up.")] = Path("results"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Write the label map of each image as a palette PNG of its size, and the image with its labels over it."""
    from segbench.engine.predict import load_cell, predict_files

    recorded = load_cell(cell, results, device)
    for warning in recorded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for path in predict_files(recorded, images, output):
        typer.echo(path)
