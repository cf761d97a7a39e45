"""A document as a piece of HTML, such as the output of a notebook's cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .page import templates

if TYPE_CHECKING:
    from segbench.report.formats.layout import Document


def to_fragment(document: Document) -> str:
    """Return tables and lines of a document as HTML without a head; all text in it is escaped and cleaned."""
    return templates().get_template("fragment.html.j2").render(document=document)
