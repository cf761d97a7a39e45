"""Pages in headless Chromium, from file:// without a network; what a page asks for, says and breaks is collected."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PHONE = 375
DESK = 1600

# Runs before the scripts of a page, and is no part of it: a violation is told to the page itself and to nobody else.
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  event => window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@dataclass
class Visit:
    """A page that was opened, and what it did that a page of ours never does."""

    page: Page
    requests: list[str] = field(default_factory=list)  # all but the one for the page
    messages: list[str] = field(default_factory=list)  # warnings and errors of its console
    errors: list[str] = field(default_factory=list)  # what its scripts did not catch

    def faults(self) -> list[str]:
        """Return requests, console messages, errors and violations of the page's policy, so far."""
        return [*self.requests, *self.messages, *self.errors, *self.page.evaluate("window.violations ?? []")]

    def count_nodes(self) -> int:
        """Return how many elements the document has now."""
        return self.page.evaluate("document.getElementsByTagName('*').length")

    def overflow(self) -> int:
        """Return by how many CSS pixels the document is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def inaccessible(self) -> list[str]:
        """Return what axe-core finds serious or critical: the rule, and the elements."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes']][:5]}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
        ]


@dataclass(frozen=True)
class Chromium:
    """A browser that runs."""

    browser: Browser

    @contextmanager
    def open(self, path: Path, *, width: int = DESK, fragment: str = "", **context: Any) -> Iterator[Visit]:
        """Open a file in a window of its own; `context` are options of Playwright's new_context."""
        window = self.browser.new_context(viewport={"width": width, "height": 900}, offline=True, **context)
        try:
            page = window.new_page()
            page.set_default_timeout(10_000)
            page.add_init_script(LISTEN)
            visit = Visit(page)
            own = path.as_uri()
            page.on("request", lambda sent: sent.url.partition("#")[0] == own or visit.requests.append(sent.url))
            page.on("console", lambda said: said.type in ("error", "warning") and visit.messages.append(said.text))
            page.on("pageerror", lambda error: visit.errors.append(str(error)))
            page.goto(own + fragment)
            yield visit
        finally:
            window.close()


@contextmanager
def start_chromium() -> Iterator[Chromium]:
    """Start headless Chromium; the test is skipped where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium-headless-shell")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield Chromium(browser)
        browser.close()
