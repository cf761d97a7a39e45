"""What is recorded, as pandas frames, comparisons, charts and a page; all numbers are those of `segbench report`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from segbench.report.comparison.compare import Comparisons
    from segbench.report.formats.layout import Document
    from segbench.report.page.parts import Chart


def load(sources: str | Path | Sequence[str | Path] = "results", *, benchmark: str | None = None) -> Results:
    """Read the records of results folders; see `Results`."""
    return Results(sources, benchmark)


class Results:
    """The records of results folders as `segbench report` sees them when this is made.

    `sources` are folders, and selectors such as "unet@latest" that show one recipe of a method only. Raises RecordError
    if a folder is missing, or has no records, or none of `benchmark`. In a notebook, and printed, it is the first
    screen of the report. docs/reference.md has the columns of all frames.
    """

    def __init__(self, sources: str | Path | Sequence[str | Path] = "results", benchmark: str | None = None) -> None:
        from segbench.report import load as load_report
        from segbench.report.selection import is_selector, parse_selector, split_sources

        given = list(map(str, [sources] if isinstance(sources, str | Path) else sources))
        self._directories, selectors = split_sources(given)
        self._chosen = {parse_selector(text).method: text for text in given if is_selector(text)}
        self._benchmark = benchmark
        self._report = load_report(self._directories, benchmark=benchmark, selectors=selectors)

    def table(self) -> pd.DataFrame:
        """Return a line for each row of each ranking, with the columns of `segbench report --format csv`."""
        from .frames import frame_rows

        return frame_rows(self._report)

    def cells(self) -> pd.DataFrame:
        """Return a line for each recorded cell, whatever its status, with its scores, size and why it has no result."""
        from segbench.report.cells import list_cells

        from .frames import frame_cells

        cells, _ = list_cells(self._report.folders, self._benchmark)
        return frame_cells(cells)

    def per_class(self) -> pd.DataFrame:
        """Return a line for each class of each row of each ranking: means over the seeds."""
        from .frames import frame_classes

        return frame_classes(self._report)

    def per_image(self) -> pd.DataFrame:
        """Return a line for each image and class of each cell in the rankings; warns of cells without counts."""
        from segbench.report.formats.long import read_images

        images = read_images(self._report)
        for problem in images.problems:
            warnings.warn(problem, stacklevel=2)
        return images.frame

    def curves(self) -> pd.DataFrame:
        """Return a line for each step at which a quantity of a cell in the rankings was measured."""
        from .frames import frame_curves

        return frame_curves(self._report)

    def compare(
        self,
        one: str,
        other: str,
        *,
        dataset: str | None = None,
        subset: str | None = None,
        margin: float = 0.5,
        level: float = 0.95,
    ) -> Comparison:
        """Compare two methods as `segbench compare` does; `margin` is in points of mIoU, `level` a fraction of 1.

        Raises RecordError for unknown methods, StatisticsError where they cannot be compared.
        """
        from segbench.report.comparison.compare import compare_methods
        from segbench.report.comparison.family import Settings

        one, other = (self._chosen.get(name, name) for name in (one, other))
        found = compare_methods(
            [] if "=" in one and "=" in other else self._directories,
            (one, other),
            benchmark=self._benchmark,
            dataset=dataset,
            subset=subset,
            settings=Settings(margin=margin / 100, level=level),
        )
        return Comparison(found)

    def figure(self, name: str) -> Figure:
        """Return a chart of the page, such as "pareto"; RecordError with the names there are for another name."""
        from segbench.errors import RecordError, alternatives
        from segbench.report.page.printing import name_charts

        charts = dict(name_charts(self._report))
        if name not in charts:
            raise RecordError(f"these records make no chart {name!r}.{alternatives(name, charts)}").among(charts)
        return Figure(charts[name])

    def report(self, path: str | Path, *, pictures_mb: int = 8, private: bool = False) -> Path:
        """Write the page of the report into a file, and return its path; see `segbench report --format html`."""
        from segbench.report.page.embedding import Allowance
        from segbench.report.page.page import to_html

        page = to_html(self._report, allowance=Allowance(pictures_mb * 10**6, private))
        Path(path).write_text(page, encoding="utf-8", errors="backslashreplace")
        return Path(path)

    def _document(self) -> Document:
        from segbench.report.formats.first_screen import lay_out_first_screen

        return lay_out_first_screen(self._report)

    def __repr__(self) -> str:
        from segbench.report.formats.terminal import to_terminal

        return to_terminal(self._document()).rstrip()

    def _repr_html_(self) -> str:
        from segbench.report.page.templates import to_fragment

        return to_fragment(self._document())


class Comparison:
    """Whether one method is better than another, as `segbench compare` says it: shown in notebooks and printed.

    `data` holds what `segbench compare --json` prints.
    """

    def __init__(self, found: Comparisons) -> None:
        from segbench.report.comparison.as_data import to_json
        from segbench.report.comparison.text import lay_out_comparisons

        self.data: dict[str, Any] = json.loads(to_json(found))
        self._document = lay_out_comparisons(found)

    def __repr__(self) -> str:
        from segbench.report.formats.terminal import to_terminal

        return to_terminal(self._document).rstrip()

    def _repr_html_(self) -> str:
        from segbench.report.page.templates import to_fragment

        return to_fragment(self._document)


class Figure:
    """A chart: shown in notebooks as SVG; `spec` is its specification in Vega-Lite."""

    def __init__(self, chart: Chart) -> None:
        self.spec = chart.spec
        self._chart = chart

    def save(self, path: str | Path, *, millimetres: float = 178) -> Path:
        """Write the chart for print into a .svg or .pdf file of some width, and return its path."""
        from segbench.report.page.printing import draw, encode

        target = Path(path)
        target.write_bytes(encode(draw(self._chart, millimetres), target.suffix))
        return target

    def __repr__(self) -> str:
        return f"Figure({self._chart.id!r}: {self._chart.title})"

    def _repr_svg_(self) -> str:
        from segbench.report.page.printing import draw

        return draw(self._chart, 178)
