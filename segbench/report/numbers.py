"""Numbers of reports as text (a missing one is a dash), and tables of such text that any format can write."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.stats.summary import Interval, Summary


MISSING = "-"


def percent(fraction: float | None) -> str:
    """Return a fraction of 1 in percent.

    >>> percent(0.98765), percent(None)
    ('98.77', '-')
    """
    return MISSING if fraction is None else f"{100 * fraction:.2f}"


def percent_with_sd(summary: Summary) -> str:
    """Return mean ± sample standard deviation in percent.

    >>> from segbench.stats.summary import summarize
    >>> percent_with_sd(summarize([0.5, 0.52])), percent_with_sd(summarize([0.5])), percent_with_sd(summarize([]))
    ('51.00 ± 1.41', '50.00 ± -', '-')
    """
    return MISSING if summary.mean is None else f"{percent(summary.mean)} ± {percent(summary.sd)}"


def percent_interval(interval: Interval | None) -> str:
    """Return an interval of fractions in percent.

    >>> from segbench.stats.summary import Interval
    >>> percent_interval(Interval(0.6, 0.7251)), percent_interval(None)
    ('[60.00, 72.51]', '-')
    """
    return MISSING if interval is None else f"[{percent(interval.low)}, {percent(interval.high)}]"


def percent_with_interval(mean: float | None, interval: Interval | None, unit: str = "") -> str:
    """Return a mean in percent with its unit, and its interval if there is one.

    >>> from segbench.stats.summary import Interval
    >>> percent_with_interval(0.7, Interval(0.6, 0.8), " %"), percent_with_interval(0.7, None)
    ('70.00 % [60.00, 80.00]', '70.00')
    """
    return f"{percent(mean)}{unit}" + (f" {percent_interval(interval)}" if interval else "")


def points(fraction: float | None) -> str:
    """Return a difference of fractions in percentage points, with its sign.

    >>> points(0.0125), points(-0.5), points(-0.0), points(None)
    ('+1.25', '-50.00', '+0.00', '-')
    """
    return MISSING if fraction is None else f"{round(100 * fraction, 2) + 0.0:+.2f}"  # + 0.0 makes -0.0 positive


def points_with_sd(summary: Summary) -> str:
    """Return a mean difference of fractions ± sample standard deviation in percentage points, with its sign.

    >>> from segbench.stats.summary import summarize
    >>> points_with_sd(summarize([0.25, 0.75])), points_with_sd(summarize([-0.5])), points_with_sd(summarize([]))
    ('+50.00 ± 35.36', '-50.00 ± -', '-')
    """
    return MISSING if summary.mean is None else f"{'' if summary.mean < 0 else '+'}{percent_with_sd(summary)}"


def points_interval(interval: Interval | None) -> str:
    """Return an interval of differences in percentage points, with their signs.

    >>> from segbench.stats.summary import Interval
    >>> points_interval(Interval(-0.0025, 0.01))
    '[-0.25, +1.00]'
    """
    return MISSING if interval is None else f"[{points(interval.low)}, {points(interval.high)}]"


def significant(value: float | None, scale: float = 1.0) -> str:
    """Return value / scale with at least three significant digits, never an exponent.

    >>> significant(1234.5), significant(12.345), significant(0.0123), significant(None), significant(3e9, 1e9)
    ('1234', '12.3', '0.0123', '-', '3.00')
    """
    if value is None:
        return MISSING
    scaled = value / scale
    decimals = 0
    while decimals < 8 and 0 < abs(scaled) < 100 / 10**decimals:
        decimals += 1
    return f"{scaled:.{decimals}f}"


def significant_with_sd(summary: Summary) -> str:
    """Return mean ± sample standard deviation, three significant digits each.

    >>> from segbench.stats.summary import summarize
    >>> significant_with_sd(summarize([0.01, 0.03])), significant_with_sd(summarize([2.0]))
    ('0.0200 ± 0.0141', '2.00 ± -')
    """
    return MISSING if summary.mean is None else f"{significant(summary.mean)} ± {significant(summary.sd)}"


def times(factor: float | None) -> str:
    """Return a factor.

    >>> times(1.5), times(None)
    ('×1.50', '-')
    """
    return MISSING if factor is None else f"×{significant(factor)}"


def join_with_and(words: Sequence[str]) -> str:
    """Return words as a sentence lists them.

    >>> join_with_and(["3"]), join_with_and(["1", "2", "3"])
    ('3', '1, 2 and 3')
    """
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), words[-1]])


def plural(number: float | None, noun: str) -> str:
    """Return a number of things with their noun.

    >>> plural(1.0, "epoch"), plural(0, "seed"), plural(None, "seed")
    ('1 epoch', '0 seeds', 'unknown number of seeds')
    """
    return f"{'unknown number of' if number is None else f'{number:.15g}'} {noun}{'s' * (number != 1)}"


def name_seeds(seeds: Sequence[object]) -> str:
    """Return the numbers of some seeds as a sentence names them.

    >>> name_seeds([3]), name_seeds([0, 1])
    ('seed 3', 'seeds 0, 1')
    """
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def letter(place: int) -> str:
    """Return the letter of a footnote by its place, from 0.

    >>> letter(0), letter(25), letter(26)
    ('a', 'z', 'aa')
    """
    return (letter(place // 26 - 1) if place >= 26 else "") + ascii_lowercase[place % 26]


Line = TypeVar("Line")


class Table(NamedTuple):
    """Headers and cells. A header may hold line breaks; the columns numbered in `words` are aligned left.

    `name` says in a word what it shows. `bold` are the (row, column) of cells to be noticed, `apart` the rows that
    stand below the others where a format can show it, as placebos do, and `notes` the lines below the table.
    """

    headers: list[str]
    rows: list[list[str]]
    title: str = ""
    words: tuple[int, ...] = (0,)
    name: str = ""
    bold: frozenset[tuple[int, int]] = frozenset()
    apart: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


class Column(NamedTuple, Generic[Line]):
    """A column of a table: its header, the function for the text of its cell in a line, and whether it holds words."""

    header: str
    cell: Callable[[Line], str]
    is_words: bool = False


def build_table(columns: Sequence[Column[Line]], lines: Sequence[Line], title: str = "", name: str = "") -> Table:
    """Return a table with one row for each line, whose first column holds words."""
    cells = [[column.cell(line) for column in columns] for line in lines]
    words = (0, *(place for place, column in enumerate(columns) if place and column.is_words))
    return Table([column.header for column in columns], cells, title, words, name)


def drop_empty(columns: Sequence[Column[Line]], lines: Sequence[Line]) -> list[Column[Line]]:
    """Return the columns that have a value in any line."""
    return [column for column in columns if any(column.cell(line) != MISSING for line in lines)]
