"""Whose a benchmark or a method is: authors, paper, code and licence, which a record tells and no key depends on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from segbench.shown import clean_line

from .frozen import ONE_OR_SEVERAL, Frozen
from .validation import validate
from .yaml import Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .yaml import Place

_LONGEST = 300  # characters of a text
_MOST_AUTHORS = 200
_DOI = re.compile(r"(?:doi:\s*)?(?P<doi>10\.[0-9]{4,9}/[^\s<>\"']+)", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"'\\@]+")


def _check_text(text: str) -> str:
    if not text.strip() or len(text) > _LONGEST or clean_line(text) != text:
        raise ValueError(f"must be one line of 1 to {_LONGEST} characters")
    return text


def _check_address(text: str) -> str:
    if not (_URL.fullmatch(text) or _DOI.fullmatch(text)):
        raise ValueError("must be an address that begins with http:// or https://, or a DOI such as 10.1000/182")
    return _check_text(text)


Text = Annotated[str, AfterValidator(_check_text)]
Address = Annotated[str, AfterValidator(_check_address)]


class Attribution(Frozen):
    """The `authors`, one or a list, and `paper`, `code` and `licence`; paper and code are web addresses or DOIs."""

    authors: Annotated[tuple[Text, ...], Field(max_length=_MOST_AUTHORS), ONE_OR_SEVERAL] = ()
    paper: Address | None = None
    code: Address | None = None
    licence: Text | None = None


ATTRIBUTION_KEYS = tuple(Attribution.model_fields)


def read_attribution(entries: Mapping[str, Node], place: Place) -> Attribution | None:
    """Return what the keys of a benchmark or of a method say of whose it is; None if they say nothing.

    Raises SpecError for a text that is long or of several lines, and for an address that is none.
    """
    given = {key: entries[key] for key in ATTRIBUTION_KEYS if key in entries and entries[key].value is not None}
    return validate(Attribution, Node(given, place)) if given else None


def web_address(text: str) -> str:
    """Return the address of the web that an `Address` stands for.

    >>> web_address("doi:10.1000/182")
    'https://doi.org/10.1000/182'
    """
    doi = _DOI.fullmatch(text)
    return f"https://doi.org/{doi['doi']}" if doi else text
