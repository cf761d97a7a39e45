"""The browser of the tests sees what a page must not do."""

from __future__ import annotations

import pytest

from .browser import PHONE

POLICY = '<meta http-equiv="content-security-policy" content="default-src \'none\'; img-src data:">'
PAGE = '<!doctype html><html lang="en"><title>A page</title>{head}<main><h1>A page</h1>{body}</main></html>'


@pytest.fixture
def page(tmp_path):
    def write(body, head=""):
        path = tmp_path / "a page.html"
        path.write_text(PAGE.format(head=head, body=body))
        return path

    return write


def test_a_plain_page_has_no_faults(chromium, page):
    with chromium.open(page("<p>Text.</p>", POLICY)) as visit:
        assert visit.faults() == []
        assert visit.count_nodes() == 8
        assert visit.overflow() == 0
        assert visit.inaccessible() == []


@pytest.mark.parametrize(
    ("body", "head", "fault"),
    [
        ("<script>fetch('https://example.org/').catch(() => 0)</script>", "", "https://example.org/"),
        ("<img alt='' src='beside.png'>", "", "beside.png"),
        ("<script>undefined_name</script>", "", "undefined_name is not defined"),
        ("<script>console.warn('careful')</script>", "", "careful"),
        ("<script>1</script>", POLICY, "script-src-elem inline"),
        ("<p style='color: red'>Text.</p>", POLICY, "style-src-attr inline"),
    ],
)
def test_what_a_page_must_not_do_is_seen(chromium, page, body, head, fault):
    with chromium.open(page(body, head)) as visit:
        assert any(fault in found for found in visit.faults()), visit.faults()


def test_faults_of_accessibility_and_width_are_seen(chromium, page):
    body = "<button></button><p style='width: 500px; color: #ccc'>Text.</p>"
    with chromium.open(page(body), width=PHONE) as visit:
        assert [found.partition(":")[0] for found in visit.inaccessible()] == ["button-name", "color-contrast"]
        assert visit.overflow() > 0


def test_a_page_runs_without_javascript(chromium, page):
    body = "<p>Text.</p><script>document.querySelector('p').remove()</script>"
    with chromium.open(page(body), java_script_enabled=False) as visit:
        assert visit.page.locator("p").count() == 1
