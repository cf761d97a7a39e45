from __future__ import annotations

import pytest

from segbench.config.attribution import Attribution, web_address

from .conftest import METHODS, START

OWN = """
net:
  generator: toy/net
  losses: [toy/entropy]
  authors: [Ada Lovelace, "Čapek, K."]
  paper: 10.1000/182
  code: https://example.org/net?v=1
  licence: MIT
"""


def test_a_method_says_whose_it_is(workshop):
    assert workshop.methods(OWN).methods["net"].attribution == Attribution(
        authors=("Ada Lovelace", "Čapek, K."), paper="10.1000/182", code="https://example.org/net?v=1", licence="MIT"
    )


def test_a_benchmark_says_whose_it_is_and_one_author_needs_no_list(workshop):
    found = workshop.load(f"{START}authors: Ada\n{METHODS}")
    assert found.attribution == Attribution(authors=("Ada",))
    assert found.methods["net"].attribution is None


def test_what_extends_a_method_is_not_its_authors(workshop):
    found = workshop.methods(f"{OWN}\nwide: {{extends: net, licence: BSD}}\nlast: {{extends: wide}}").methods
    assert found["wide"].attribution == Attribution(licence="BSD")
    assert found["last"].attribution is None


def test_null_says_nothing(workshop):
    assert workshop.load(f"{START}licence: null\n{METHODS}").attribution is None


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "ftp://example.org", "example.org", "https://a b", "https://x/<b>", "10.1/x", ""]
)
def test_an_address_is_of_the_web_or_a_doi(workshop, address):
    refusal = workshop.refusal(f'{START}paper: "{address}"\n{METHODS}')
    assert refusal.startswith("bench.yaml:8: paper: must be an address that begins with http:// or https://, or a DOI")


@pytest.mark.parametrize("text", ["x" * 301, '"a\\nb"', '"\\u202e"', '" "'])
def test_a_text_is_one_short_line(workshop, text):
    refusal = workshop.refusal(f"{START}authors: [Ada, {text}]\n{METHODS}")
    assert refusal == "bench.yaml:8: authors.1: must be one line of 1 to 300 characters"


def test_whose_a_method_is_is_not_tuned(workshop):
    tuned = METHODS.replace("[toy/entropy]}", "[toy/entropy], tune: {licence: [MIT, BSD]}}")
    assert "it says whose the method is" in workshop.refusal(f"{START}tune: {{trials: 2, seed: 9}}\n{tuned}")


def test_a_doi_leads_to_its_resolver_and_an_address_stays():
    assert web_address("DOI: 10.5281/zenodo.1") == "https://doi.org/10.5281/zenodo.1"
    assert web_address("http://example.org/10.1000/182") == "http://example.org/10.1000/182"
