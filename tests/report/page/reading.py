"""How the tests read a page: its elements as a browser with scripts makes them, and its text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import NamedTuple


class Element(NamedTuple):
    tag: str
    attributes: dict[str, str | None]


class Page(HTMLParser):
    """A page; what stands in noscript is text to a browser that runs scripts."""

    def __init__(self, html):
        super().__init__()
        self.html = html
        self.elements, self.texts, self.raw = [], [], {"script": [], "style": []}
        self._inside = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if "noscript" not in self._inside:
            self.elements.append(Element(tag, dict(attributes)))
        if tag in ("noscript", "script", "style", "title"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        if self._inside and self._inside[-1] in self.raw:
            self.raw[self._inside[-1]].append(data)
        else:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [element for element in self.elements if element.tag == tag]

    @property
    def policy(self):
        (found,) = [one.attributes["content"] for one in self.all("meta") if "http-equiv" in one.attributes]
        return dict(part.strip().split(" ", 1) for part in found.split(";"))

    @property
    def charts(self):
        return json.loads(self.raw["script"][0])["specs"]


def hash_of(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def bodies(html, tag):
    """Return the exact text of each element of a tag without children."""
    return re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
