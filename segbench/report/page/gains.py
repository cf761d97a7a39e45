"""Where the gains of claims lie: in boundary bands, small objects and rare classes, and class by class."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import StatisticsError
from segbench.report.comparison.gains import find_gains
from segbench.report.comparison.tables import PART_NAMES, points_with_interval
from segbench.report.formats.tables import pair_text
from segbench.report.numbers import MISSING, Table, percent
from segbench.report.ranking.comparable import check_same_truth, read_counts
from segbench.report.records import Sources
from segbench.shown import clean_line
from segbench.stats.bootstrap import RESAMPLES

from .answer import find_claims
from .families import encode_family, family_of
from .parts import Chart, Choice
from .specs import FADED, KEEP, LEGEND, SILENT, TICKS, ZOOM_NOTE, begin_spec, describe, mark_place, round_to, zoom

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.report.comparison.gains import Gains
    from segbench.report.ranking.differences import Contrast
    from segbench.report.ranking.groups import Group, Report
    from segbench.stats.difference import Difference

    from .specs import Spec

# Of more claims the first of each ranking are looked into: each takes seconds.
MOST_CLAIMS = 4
# Of more classes those with the largest gains and losses are drawn, half of each.
MOST_CLASSES = 40
# What a claim may take: resamples times images times classes, but no fewer resamples; beyond so many images times
# classes it is left to `segbench compare`.
_WORK, _FEWEST_RESAMPLES, _MOST_COUNTS = 3_000_000, 100, 60_000


class Claim(NamedTuple):
    """A judged difference A - B, where it lies, and from how many resamples its intervals are."""

    contrast: Contrast
    gains: Gains
    resamples: int

    @property
    def name(self) -> str:
        """The names of A and B."""
        return pair_text(self.contrast)


def draw_gains(report: Report, group: Group) -> list[Chart]:
    """Return the charts of where the claims of a ranking gain, by parts of the pixels and by classes."""
    found = [_look_into(report, one) for one in find_claims(group)[: _most(report)] if not _is_too_large(one)]
    claims = [claim for claim in found if claim]
    if not claims:
        return []
    with_parts = [claim for claim in claims if claim.gains.parts]
    parts = [_draw_parts(with_parts)] if with_parts else []
    return [*parts, _draw_classes(claims)]


def list_left_out(report: Report, group: Group) -> list[str]:
    """Say which claims of a ranking take too long to be looked into, and what does it."""
    claims = find_claims(group)
    left = [one for place, one in enumerate(claims) if place >= _most(report) or _is_too_large(one)]
    return [
        f"{pair_text(one)}: `segbench compare {quote(one.row.method)} {quote(one.other.method)}` says where it lies."
        for one in left
    ]


def _most(report: Report) -> int:
    """Return how many claims of each ranking are looked into."""
    return max(1, MOST_CLAIMS // len(report.groups))


def _count(contrast: Contrast) -> int:
    """Return images times classes."""
    classes = max(len(row.class_scores("iou")) for row in (contrast.row, contrast.other))
    return contrast.difference.images * max(classes, 1)


def _is_too_large(contrast: Contrast) -> bool:
    return _count(contrast) > _MOST_COUNTS


def _look_into(report: Report, contrast: Contrast) -> Claim | None:
    sources = Sources((), report.folders, (), report.cell_folders)
    rows = contrast.row, contrast.other
    counts = {row.name: read_counts(row, sources).counts for row in rows}
    seeds = [seed for seed in contrast.difference.by_seed if all(seed in of for of in counts.values())]
    if not seeds:
        return None
    ours, theirs = ({seed: counts[row.name][seed] for seed in seeds} for row in rows)
    resamples = min(RESAMPLES, max(_FEWEST_RESAMPLES, _WORK // _count(contrast)))
    try:
        check_same_truth({"one": ours, "other": theirs})
        return Claim(contrast, find_gains(ours, theirs, rows[0].classes or rows[1].classes, 0, resamples), resamples)
    except StatisticsError:
        return None


def _draw_parts(claims: Sequence[Claim]) -> Chart:
    title = "Where the gain lies: what parts add to A - B"
    values = [
        {
            **_claim_values(place, claim),
            "part": [PART_NAMES[part.name] for part in claim.gains.parts],
            "pixels": [round_to(100 * part.pixels, 4) for part in claim.gains.parts],
            **_differences([part.adds for part in claim.gains.parts]),
        }
        for place, claim in enumerate(claims)
    ]
    spec = _begin(title, claims, values, max(len(row["part"]) for row in values))
    lines = [
        [
            *(clean_line(claim.name), PART_NAMES[part.name], percent(part.pixels)),
            *(percent(part.one.mean), percent(part.other.mean)),
            *(points_with_interval(one.estimate, one.interval()) for one in (part.within, part.adds)),
        ]
        for claim in claims
        for part in claim.gains.parts
    ]
    headers = ["A - B", "part", "pixels [%]", "A [%]", "B [%]", "A - B in it [points]", "adds to A - B [points]"]
    note = (
        "Each pair of parts adds up to A - B: bands along boundaries and interiors, small objects and other pixels, "
        f"rare and frequent classes. {_describe_intervals(claims)}"
    )
    return Chart("gain-parts", title, spec, Table(headers, lines, title, (0, 1)), note, _choices(claims))


def _draw_classes(claims: Sequence[Claim]) -> Chart:
    title = "Where the gain lies: IoU by class, A - B"
    values = [
        {
            **_claim_values(place, claim),
            "part": [name for name, _, _ in chosen],
            "pixels": [round_to(100 * pixels, 4) for _, pixels, _ in chosen],
            **_differences([apart for _, _, apart in chosen]),
        }
        for place, claim in enumerate(claims)
        for chosen in [_choose_classes(claim.gains)]
    ]
    spec = _begin(title, claims, values, max(len(row["part"]) for row in values))
    lines = [
        [
            *(clean_line(claim.name), clean_line(one.name), percent(one.pixels), percent(one.one), percent(one.other)),
            points_with_interval(one.difference.estimate, one.difference.interval()) if one.difference else MISSING,
        ]
        for claim in claims
        for one in claim.gains.classes
    ]
    headers = ["A - B", "class", "pixels [%]", "A [%]", "B [%]", "A - B [points]"]
    number = max(len(claim.gains.classes) for claim in claims)
    cut = f" Of {number} classes the largest gains and losses are drawn." if number > MOST_CLASSES else ""
    note = f"{_describe_intervals(claims)}{cut}"
    return Chart("gain-classes", title, spec, Table(headers, lines, title, (0, 1)), note, _choices(claims))


def _choose_classes(gains: Gains) -> list[tuple[str, float, Difference]]:
    """Return name, share of the pixels and difference of the classes that are drawn, the largest gain first."""
    known = [(one.name, one.pixels, one.difference) for one in gains.classes if one.difference]
    known.sort(key=lambda one: -one[2].estimate)
    half = MOST_CLASSES // 2
    return known if len(known) <= MOST_CLASSES else [*known[:half], *known[len(known) - half :]]


def _claim_values(place: int, claim: Claim) -> dict[str, Any]:
    return {"name": claim.name, "family": family_of(claim.contrast.row), "claim": str(place)}


def _differences(found: Iterable[Difference]) -> dict[str, list[float | None]]:
    """Return differences and the ends of their intervals, in points."""
    known = [(one.estimate, *one.interval()) for one in found]
    return {
        name: [round_to(100 * one[at], 5) for one in known] for at, name in enumerate(("difference", "low", "high"))
    }


def _choices(claims: Sequence[Claim]) -> tuple[Choice, ...]:
    options = {str(place): clean_line(claim.name) for place, claim in enumerate(claims)}
    return (Choice("claim", "A - B", options),) if len(claims) > 1 else ()


def _describe_intervals(claims: Sequence[Claim]) -> str:
    fewest = min(claim.resamples for claim in claims)
    fewer = f" from {fewest} resamples (`segbench compare` takes {RESAMPLES})" if fewest < RESAMPLES else ""
    return f"Intervals: 95 %, each on its own{fewer}. {ZOOM_NOTE}"


def _begin(title: str, claims: Sequence[Claim], values: Sequence[dict[str, Any]], number: int) -> Spec:
    """Return the specification of differences with intervals, one below the other, of the claim that is chosen."""
    spec = begin_spec(title, values, {"name": "claim", "value": "0"})
    flatten = {"flatten": ["part", "pixels", "difference", "low", "high"]}
    return spec | {
        "height": 24 * max(number, 1),
        "transform": [KEEP, {"filter": "datum.claim === claim"}, flatten],
        "layer": _layers(claims),
    }


def _layers(claims: Sequence[Claim]) -> list[Spec]:
    looks = encode_family(claim.contrast.row for claim in claims)
    axis = {"title": "A - B [points]", "grid": True, "orient": "top", **TICKS}
    across: Spec = {"field": "difference", "type": "quantitative", "scale": {"zero": True}, "axis": axis}
    labels = {"labelLimit": 130, "domain": False, "ticks": False}
    down: Spec = {"y": {"field": "part", "type": "nominal", "sort": None, "title": None, "axis": labels}}
    said = describe(
        *(("name", "A - B"), ("part", "in"), ("pixels", "pixels [%]", ".3~r")),
        *(("difference", "points", "+.2f"), ("low", "from", "+.2f"), ("high", "to", "+.2f")),
    )
    return [
        mark_place(0),
        {
            "mark": {"type": "rule", "strokeWidth": 2.5, "clip": True, "strokeCap": "round", **SILENT},
            "encoding": {"x": {**across, "field": "low"}, "x2": {"field": "high"}, **down, "color": looks["color"]},
        },
        {
            "params": [zoom("x"), LEGEND],
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "clip": True},
            "encoding": {"x": across, **down, **looks, "opacity": FADED, **said},
        },
    ]
