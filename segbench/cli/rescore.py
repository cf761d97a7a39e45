"""`segbench rescore`: mIoU of recorded counts under the conventions of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .completion import complete_recorded_benchmark
from .options import Directories, Json
from .output import say, terminal_width

if TYPE_CHECKING:
    from collections.abc import Sequence


def rescore(
    directories: Directories = None,
    convention: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            # the names of CONVENTIONS, which cannot be imported here: that would load numpy in every command
            help="reference, present-in-truth, absent-as-one or per-image; repeatable. [default: all]",
        ),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Rescore this benchmark only.", autocompletion=complete_recorded_benchmark)
    ] = None,
    json: Json = False,
) -> None:
    """Recompute mIoU from the counts of records in the conventions of other tools, without networks or a GPU."""
    from segbench.report import rescoring
    from segbench.stats.conventions import CONVENTIONS

    names = convention or list(CONVENTIONS)
    _check_known(names, list(CONVENTIONS))
    found = rescoring.rescore(directories or [Path("results")], names, benchmark)
    say(rescoring.to_json(found) if json else rescoring.to_text(found, terminal_width()), nl=False)


def _check_known(names: Sequence[str], known: list[str]) -> None:
    from segbench.errors import SegbenchError, alternatives

    for name in names:
        if name not in known:
            unknown = f"--convention: there is no convention {name!r}.{alternatives(name, known)}"
            raise SegbenchError(unknown).among(known)
