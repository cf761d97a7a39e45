"""Charts as files for print: SVG and PDF, as wide as one and as two columns of a journal, made without a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from segbench.errors import RecordError
from segbench.report.ranking.groups import split_by_benchmark
from segbench.store.atomic import say_cause

from .chart_rooms import curves, differences, gains, scores
from .families import PRINT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from segbench.report.ranking.groups import Report

    from .parts import Chart

# Millimetres; journals differ by a few.
WIDTHS = {"single": 85, "double": 178}
ENDINGS = (".svg", ".pdf")
_PIXELS_AN_INCH = 96
_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')


def write_figures(report: Report, folder: Path) -> list[Path]:
    """Write each chart of a report as CHART-single and CHART-double, .svg and .pdf, and return the files.

    The names of the charts of several benchmarks begin with that of the benchmark. Raises RecordError if the folder
    cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, chart in name_charts(report):
            for columns, width in WIDTHS.items():
                svg = draw(chart, width)
                for ending in ENDINGS:
                    path = folder / f"{name}-{columns}{ending}"
                    path.write_bytes(encode(svg, ending))
                    written.append(path)
    except OSError as error:
        raise RecordError(
            f"the figures cannot be written into {folder}: {say_cause(error)}; name a folder that can be written"
        ) from error
    return written


def draw(chart: Chart, millimetres: float) -> str:
    """Return a chart of some width as SVG, which measures it in pixels."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(_set_width(chart, millimetres), config=PRINT, allowed_base_urls=[]))


def encode(svg: str, ending: str) -> bytes:
    """Return what a file with one of ENDINGS holds of a chart, for print; RecordError for another ending."""
    if ending == ".svg":
        return _measure(svg, 25.4 / _PIXELS_AN_INCH, "mm").encode()
    if ending == ".pdf":
        import vl_convert

        # a PDF has as many points as the SVG has pixels
        return bytes(vl_convert.svg_to_pdf(_measure(svg, 72 / _PIXELS_AN_INCH, "")))
    raise RecordError(f"a chart cannot be written as {ending or 'a file without an ending'!r}; use .svg or .pdf")


def name_charts(report: Report) -> Iterator[tuple[str, Chart]]:
    """Return the charts with the names of their files: small letters, digits and dashes."""
    parts = list(split_by_benchmark(report))
    for number, part in enumerate(parts, 1):
        benchmark = next((group.data.benchmark for group in part.groups), "")
        letters = re.sub(r"[^a-z0-9]+", "-", benchmark.lower()).strip("-")[:60]
        prefix = f"{letters or 'benchmark'}-{number}-" if len(parts) > 1 else ""
        for room in filter(None, (make(part) for make in (differences, scores, curves, gains))):
            yield from ((f"{prefix}{chart.id}", chart) for chart in room.charts)


def _set_width(chart: Chart, millimetres: float) -> dict[str, Any]:
    """Return the specification of a chart of this width with its axes, without its title: a paper has a caption."""
    fit = {"type": "fit-x", "contains": "padding"}
    return {**chart.spec, "title": None, "autosize": fit, "width": millimetres / 25.4 * _PIXELS_AN_INCH}


def _measure(svg: str, scale: float, unit: str) -> str:
    """Return an SVG whose size, which Vega gives in pixels, is in another unit."""

    def convert(match: re.Match[str]) -> str:
        width, height = (float(size) * scale for size in match.groups())
        return f'width="{width:.6g}{unit}" height="{height:.6g}{unit}"'

    return _SIZE.sub(convert, svg, count=1)
