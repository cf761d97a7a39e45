"""Where a report goes: to stdout or into a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pathlib import Path


def print_or_write(text: str, output: Path | None) -> None:
    """Print a text, or write it into the file that was named; RecordError if that cannot be done."""
    if output is None:
        typer.echo(text, nl=False)
        return
    from segbench.errors import RecordError

    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordError(
            f"cannot write the report to {output}: {error.strerror}; name another file with -o"
        ) from error
    typer.echo(f"wrote {output}", err=True)
