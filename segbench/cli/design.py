"""What a design can and cannot show, for `segbench plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.stats.power import MOST_SEEDS

from .columns import columns

if TYPE_CHECKING:
    from segbench.plan.design_power import DesignPower, Sight


def as_content(design: DesignPower | None) -> dict[str, Any] | None:
    """Return it ready for JSON, mIoU as fractions of 1; None where nothing is compared."""
    if design is None:
        return None
    return {**design._asdict(), "sights": [_sight_content(sight) for sight in design.sights]}


def as_lines(content: dict[str, Any] | None) -> list[str]:
    """Return what `as_content` does as lines of text, mIoU in points."""
    if content is None:
        return []
    seeds, comparisons = _counted(content["seeds"], "seed"), _counted(content["comparisons"], "comparison")
    heading = (
        f"what {seeds} can show of {comparisons} in a ranking (the first judged at {100 * content['level']:.4g} %), "
        f"mIoU points with {100 * content['power']:g} % power:"
    )
    return [heading, columns([_header(content), *map(_row, content["sights"])], "  "), *_notes(content)]


def _sight_content(sight: Sight) -> dict[str, Any]:
    needed = [{"difference": difference, "seeds": seeds} for difference, seeds in sight.seeds_for.items()]
    return {**sight.noise._asdict(), "smallest": sight.smallest, "seeds_for": needed}


def _header(content: dict[str, Any]) -> tuple[str, ...]:
    needed = content["sights"][0]["seeds_for"]
    claimed = [f"SEEDS FOR {_points(one['difference'])}" for one in needed]
    return "SEED NOISE", "SD OF A DIFFERENCE", "SMALLEST SEEN", *claimed


def _row(sight: dict[str, Any]) -> tuple[str, ...]:
    measured = "" if sight["freedom"] is None else f", freedom {sight['freedom']}"
    smallest = "nothing" if sight["smallest"] is None else _points(sight["smallest"])
    needed = [f"over {MOST_SEEDS}" if one["seeds"] is None else str(one["seeds"]) for one in sight["seeds_for"]]
    return f"{sight['source']}{measured}", _points(sight["difference_sd"]), smallest, *needed


def _notes(content: dict[str, Any]) -> list[str]:
    seeds, floor = content["seeds"], content["sign_flip_floor"]
    if seeds == 1:
        return ["  one seed decides nothing: its intervals know the images alone, and no verdict follows from them"]
    return [
        "  that is of seeds alone; what is left to the images comes on top",
        f"  the exact sign-flip test over {seeds} seeds cannot fall below p = {floor:.2g}",
    ]


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
