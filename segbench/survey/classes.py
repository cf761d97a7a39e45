"""The classes of a dataset, made of what its masks hold and what its files say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .masks import MaskSurvey
    from .names import NamedClass

    RGB = tuple[int, int, int]
    Code = int | RGB

# Void pixels have a value from here on, where class ids begin at 0 or 1.
LEAST_VOID = 200
# The borders of objects in PASCAL VOC.
VOC_BORDER = (224, 224, 192)
VOID = 255


@dataclass(frozen=True)
class Classes:
    """The classes in the order of their ids, each with its value or colour in masks, and those that are void.

    `is_described` says that dataset.json alone tells how masks are read, without an option; `made_up` are names that
    nothing gave; `palette` is None where masks have no colours. `void_is_guessed` where nobody said what is void.
    """

    names: tuple[str, ...]
    codes: tuple[Code, ...]
    void: tuple[Code, ...]
    palette: tuple[RGB, ...] | None
    is_described: bool
    void_is_guessed: bool
    made_up: tuple[str, ...] = ()

    @property
    def description(self) -> dict[str, Any]:
        """The content of dataset.json."""
        colours = [{"rgb": list(colour)} for colour in self.palette] if self.palette else [{} for _ in self.names]
        entries = [{"id": place, "name": name, **colours[place]} for place, name in enumerate(self.names)]
        ignored = [list(code) for code in self.void if isinstance(code, tuple) and max(code) <= VOID]
        colour = {"ignore_rgb": ignored[0]} if ignored else {}
        return {"classes": entries, "ignore_index": max(VOID, len(self.names)), **colour}

    @property
    def options(self) -> dict[str, Any]:
        """The options of `data/folder` that say how masks are read."""
        if self.is_described:
            return {}
        table = {name: _as_list(code) for name, code in zip(self.names, self.codes, strict=True)}
        void = [_as_list(code) for code in self.void]
        ignored = {"ignore": void[0] if len(void) == 1 else void} if void else {}
        return {"colours" if isinstance(self.codes[0], tuple) else "values": table | ignored}

    def renamed(self, names: Any) -> Classes:
        """Return it with other names; DataError for another number of them, and for one that is there twice."""
        held = ", ".join(f"{name} ({_as_list(code)})" for name, code in zip(self.names, self.codes, strict=True))
        if not isinstance(names, list) or len(names) != len(self.names):
            found = f"{len(self.names)} class{'es were' if len(self.names) > 1 else ' was'} found"
            raise DataError(f"{found}, {held}: give a name for each, as --classes [a, b]")
        given = tuple(map(str, names))
        if twice := [name for name, count in Counter(given).items() if count > 1]:
            raise DataError(f"the name {twice[0]} is given twice; give each class a name of its own: {held}")
        return replace(self, names=given, made_up=())


class UnclearVoid(DataError):
    """Several values of masks may be void, and nothing says which."""

    def __init__(self, candidates: Sequence[int], masks: Mapping[int, int]) -> None:
        held = " and ".join(f"{value} (in {masks[value]})" for value in candidates)
        listed = ", ".join(map(str, candidates))
        super().__init__(
            f"masks hold {held}, and each may be void; say which: --ignore {candidates[-1]}, --ignore [{listed}] for "
            "all of them, or --ignore none"
        )


def settle_classes(survey: MaskSurvey, named: Sequence[NamedClass], ignore: Sequence[Any] | None = None) -> Classes:
    """Return the classes of masks, named as their files name them; UnclearVoid where a choice is the user's.

    `ignore` are the values or colours that are void, None if that is to be guessed. Raises DataError where they are
    none, and where nothing else is left.
    """
    values = survey.by_value
    if values is None:
        return _by_colour(survey, named, ignore)
    known = _by_stored_value(survey, named)
    void = _void_values(values, known) if ignore is None else ignore
    if not all(isinstance(value, int) for value in void):
        raise DataError(f"--ignore {void}: the masks hold values, not colours: {', '.join(map(str, sorted(values)))}")
    ids = [value for value in sorted(values) if value not in void]
    if not ids:
        raise DataError(f"the masks hold nothing but {', '.join(map(str, sorted(values)))}, which is void")
    names, made_up = _name_all(ids, {value: one.name for value, one in known.items()})
    palette = [survey.palette[value] for value in ids if value in survey.palette]
    return Classes(
        names,
        codes=tuple(ids),
        void=tuple(void),
        palette=tuple(palette) if len(set(palette)) == len(ids) else None,
        is_described=ids == list(range(len(ids))) and set(void) <= {VOID},
        void_is_guessed=ignore is None,
        made_up=made_up,
    )


def _by_stored_value(survey: MaskSurvey, named: Sequence[NamedClass]) -> dict[int, NamedClass]:
    """Return the classes by their value; that of a colour is its index in the palette, or its grey."""
    values = {(value, value, value): value for value in survey.grey_as_colour}
    values |= {colour: value for value, colour in survey.palette.items()}
    found = {one.value if one.colour is None else values.get(one.colour): one for one in named}
    return {value: one for value, one in found.items() if value is not None}


def _void_values(values: Counter[int], known: Mapping[int, NamedClass]) -> list[int]:
    named = [value for value, one in known.items() if one.is_void and value in values]
    return named or [value for value in find_void(values) if value not in known]


def find_void(values: Counter[int]) -> list[int]:
    """Return the value that stands apart from class ids, if any; UnclearVoid for several.

    >>> from collections import Counter
    >>> find_void(Counter([0, 1, 2, 255])), find_void(Counter([0, 255])), find_void(Counter([0, 128, 255]))
    ([255], [], [])
    """
    ids = [value for value in values if value < LEAST_VOID]
    apart = sorted(value for value in values if value >= LEAST_VOID)
    if len(ids) < 2 or max(ids) > 2 * len(ids):
        return []
    if len(apart) > 1:
        raise UnclearVoid(apart, values)
    return apart


def _by_colour(survey: MaskSurvey, named: Sequence[NamedClass], ignore: Sequence[Any] | None) -> Classes:
    masks = survey.by_colour
    known = {one.colour: one.name for one in named if one.colour is not None}
    if ignore is None:
        void = [one.colour for one in named if one.is_void and one.colour in masks and one.colour is not None]
        void = void or [VOC_BORDER for _ in range(VOC_BORDER in masks and VOC_BORDER not in known)]
    else:
        void = _read_colours(ignore)
    colours = [colour for colour in known if colour in masks and colour not in void]
    colours += [colour for colour in sorted(masks) if colour not in known and colour not in void]
    if not colours:
        raise DataError(f"the masks hold no colour but {', '.join(map(str, void))}, which is void")
    names, made_up = _name_all(
        range(len(colours)), {place: known[colour] for place, colour in enumerate(colours) if colour in known}
    )
    is_eight_bit = max(map(max, masks)) <= VOID
    return Classes(
        names,
        codes=tuple(colours),
        void=tuple(void),
        palette=tuple(colours) if is_eight_bit else None,
        is_described=is_eight_bit and len(void) < 2 and not (survey.values or survey.indices),
        void_is_guessed=ignore is None,
        made_up=made_up,
    )


def _read_colours(ignore: Sequence[Any]) -> list[RGB]:
    """Return the colours that were given as void, one or a list of them."""
    colours = [ignore] if len(ignore) == 3 and all(isinstance(part, int) for part in ignore) else ignore
    if not all(
        isinstance(one, list) and len(one) == 3 and all(isinstance(part, int) for part in one) for one in colours
    ):
        raise DataError(f"--ignore {ignore}: the masks are in colour; a colour is written [0, 0, 0]")
    return [(red, green, blue) for red, green, blue in colours]


def _name_all(ids: Sequence[int], known: Mapping[int, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a name for each id, and those that nothing gave: background and foreground of two, else class_ID."""
    shown = known
    if not known and len(ids) == 2 and ids[0] == 0:
        shown = {0: "background", ids[1]: "foreground"}
    names = tuple(shown.get(value, f"class_{value}") for value in ids)
    return names, tuple(name for value, name in zip(ids, names, strict=True) if value not in known)


def _as_list(code: Code) -> int | list[int]:
    return list(code) if isinstance(code, tuple) else code
