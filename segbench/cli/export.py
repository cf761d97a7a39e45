"""`segbench export`: write the network of a recorded cell as a file that needs no segbench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import CellArgument, CellMethod, CellSeed, Results, Root, find_cell, parse_size
from .output import check_can_be_written, say, write_bytes


def export(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A program of torch (.pt), ONNX, or weights (.safetensors)."
        ),
    ],
    cell: CellArgument = None,
    method: CellMethod = None,
    seed: CellSeed = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Height and width of images. [default: any size]")
    ] = None,
    root: Root = None,
    results: Results = Path("results"),
) -> None:
    """Write a model that takes images of 8 or 16 bits (N, C, H, W) and gives labels (N, H, W), whatever is in between.

    It is checked on the split that the cell was scored on, and not written if it gives other labels there.
    """
    from segbench.engine.prediction.export import SUFFIXES, export_model

    if output.suffix not in SUFFIXES:
        raise typer.BadParameter(f"-o {output}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    check_can_be_written(output)
    record = find_cell(cell, method, seed, results)
    content, parity = export_model(record, output.suffix, None if size is None else parse_size(size), root)
    write_bytes(output, content)
    if parity is not None:
        say(parity, err=True)
