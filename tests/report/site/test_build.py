from __future__ import annotations

import csv
import hashlib
import io
import json
import re

import pytest

from segbench.errors import RecordError
from segbench.report.site.build import is_site, write_site
from segbench.report.site.data import json_schema, page_of
from segbench.store.record import PluginFile
from segbench.store.verification import Verification, write_verification

HOSTILE = "<script>alert(1)</script>"
RIGHTS = {
    "authors": [f"Ada {HOSTILE}"],
    "paper": "10.1000/182",
    "code": "https://example.org/?a=1&b=2",
    "licence": "MIT",
}


@pytest.fixture
def site(trained, failed, counted, results, tmp_path):
    """Write a leaderboard of two benchmarks with names that mean harm; returns its folder."""
    ours = [
        counted(trained("unet", seed, recipe={"attribution": RIGHTS}), [0.9, 0.8, 0.7 + seed / 10]) for seed in (0, 1)
    ]
    theirs = [counted(trained(f"=1+1 {HOSTILE} ../x", seed), [0.5, 0.6, 0.6]) for seed in (0, 1)]
    other = [counted(trained("unet", benchmark='b"><b>', dataset="\u202ereversed"), [0.5, 0.6, 0.7])]
    folder = results(*ours, *theirs, *other, failed("broken"))
    write_site([folder], tmp_path / "site")
    return tmp_path / "site"


def pages(site):
    return {path.relative_to(site).as_posix(): path.read_text() for path in site.rglob("*.html")}


def test_there_is_an_index_and_a_page_for_each_benchmark_and_method(site):
    found = pages(site)
    assert len(found) == 1 + 2 + 2
    links = set(re.findall(r'href="([^"#]+\.(?:html|json|csv))"', found["index.html"]))
    assert links == {*found, "leaderboard.json", "leaderboard.schema.json", "leaderboard.csv"} - {"index.html"}
    assert 'href="../benchmarks/camvid.html"' in found["methods/unet.html"]
    assert 'href="../methods/unet.html"' in found["benchmarks/camvid.html"]


def test_every_link_between_pages_leads_to_a_file(site):
    for name, text in pages(site).items():
        for link in re.findall(r'href="([^"#:]+)"', text):
            assert (site / name).parent.joinpath(link).is_file(), (name, link)


def test_names_that_mean_harm_are_text_everywhere(site):
    for name, text in pages(site).items():
        assert HOSTILE not in text, name
        assert "\u202e" not in text, name
        assert 'b"><b>' not in text, name
    lines = list(csv.reader(io.StringIO((site / "leaderboard.csv").read_text())))
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "@"))]


def test_whose_a_method_is_is_shown_with_links_that_give_nothing_away(site):
    text = pages(site)["methods/unet.html"]
    assert "Ada &lt;script&gt;" in text
    assert '<a rel="noopener noreferrer" href="https://doi.org/10.1000/182">paper</a>' in text
    assert '<a rel="noopener noreferrer" href="https://example.org/?a=1&amp;b=2">code</a>' in text


def test_an_address_that_is_none_is_not_linked(trained, counted, results, tmp_path):
    record = trained("unet", recipe={"attribution": RIGHTS})
    record.spec["method"]["attribution"] = {**RIGHTS, "code": "javascript:alert(1)"}
    write_site([results(counted(record, [0.5, 0.6]))], tmp_path / "site")
    assert 'href="javascript' not in "".join(pages(tmp_path / "site").values())


def test_no_page_tells_where_folders_lie_on_the_machine(site, tmp_path):
    for path in site.rglob("*.*"):
        assert str(tmp_path) not in path.read_text(), path.name


def test_a_page_has_a_plain_name_of_its_own():
    assert page_of("methods", "unet+critic") == "methods/unet+critic.html"
    odd = [page_of("methods", name) for name in ("UNet", "unet~frozen", "../x", "", "a" * 999, "a" * 998, "CON/\\:*")]
    assert len(set(odd)) == len(odd)
    assert all(re.fullmatch(r"methods/[a-z0-9.+_-]{1,70}\.html", page) for page in odd)


def test_the_same_records_give_the_same_files_and_an_own_folder_is_replaced(site, tmp_path):
    before = {path: path.read_bytes() for path in site.rglob("*.*") if path.is_file()}
    (site / "old.html").touch()
    write_site([tmp_path / "results"], site)
    assert {path: path.read_bytes() for path in site.rglob("*.*") if path.is_file()} == before


def test_a_folder_that_is_no_leaderboard_stays_as_it_is(site, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "leaderboard.json").write_text('{"format": "else"}')
    assert not is_site(mine)
    with pytest.raises(RecordError, match="this folder holds something else"):
        write_site([tmp_path / "results"], mine)
    assert [path.name for path in mine.iterdir()] == ["leaderboard.json"]


def test_nothing_is_written_where_something_fails(site, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RecordError):
        write_site([tmp_path / "nowhere"], tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_rows_that_may_not_be_ranked_together_say_why(trained, counted, results, tmp_path):
    cells = [counted(trained("unet", fingerprint=number * 16), [0.5, 0.6]) for number in "12"]
    content, _ = write_site([results(*cells)], tmp_path / "site")
    (benchmark,) = content.benchmarks
    assert [ranking.apart for ranking in benchmark.rankings] == [
        f"data: test, 2 images · data {number * 12}" for number in "12"
    ]
    text = pages(tmp_path / "site")[benchmark.page]
    assert text.count("Ranked apart from the other rankings of this benchmark") == 2


def test_a_plugin_file_is_shown_as_its_cell_kept_it(trained, counted, results, tmp_path):
    source = f"# {HOSTILE}\n"
    file = PluginFile(plugin="mine", sha256=hashlib.sha256(source.encode()).hexdigest(), copy_path="plugins/mine.py")
    record, counts = counted(trained("unet"), [0.5, 0.6])
    record = record.model_copy(update={"plugin_files": [file]})
    folder = results((record, counts))
    copy = folder / "camvid" / record.key / "plugins" / "mine.py"
    copy.parent.mkdir()
    copy.write_text(source)
    write_site([folder], tmp_path / "site")
    text = pages(tmp_path / "site")["methods/unet.html"]
    assert "# &lt;script&gt;alert(1)" in text
    assert "is not what the cells were made with" not in text
    copy.write_text("other")
    write_site([folder], tmp_path / "site")
    assert "is not what the cells were made with" in pages(tmp_path / "site")["methods/unet.html"]


def test_marks_of_verified_cells_are_shown_with_their_date(trained, counted, results, tmp_path):
    record, counts = counted(trained("unet"), [0.5, 0.6])
    folder = results((record, counts))
    mark = Verification(
        key=record.key,
        outcome="within seeds",
        date="2026-11-29T08:00:00+00:00",
        score="miou",
        before=0.5,
        after=0.5,
        seeds=3,
        recorded=record.scores,
        machine={},
    )
    write_verification(folder / "camvid" / record.key, mark)
    content, _ = write_site([folder], tmp_path / "site")
    (row,) = content.benchmarks[0].rankings[0].rows
    assert [(one.seed, one.outcome) for one in row.verified] == [(0, "within seeds")]
    for name in ("benchmarks/camvid.html", "methods/unet.html"):
        assert "seed 0: within seeds (50.00, now 50.00), 2026-11-29" in pages(tmp_path / "site")[name]


def check(value, schema, definitions, place="$"):
    """Assert that JSON has the properties of a schema and no others: what of JSON Schema pydantic uses here."""
    if "$ref" in schema:
        return check(value, definitions[schema["$ref"].rpartition("/")[2]], definitions, place)
    if "anyOf" in schema:
        options = [one for one in schema["anyOf"] if (one.get("type") == "null") == (value is None)]
        return check(value, options[0], definitions, place)
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) == set(schema["properties"]), place
        for name, inner in value.items():
            check(inner, schema["properties"][name], definitions, f"{place}.{name}")
    elif isinstance(value, dict):
        assert schema["type"] == "object", place
        if isinstance(schema.get("additionalProperties"), dict):
            for name, inner in value.items():
                check(inner, schema["additionalProperties"], definitions, f"{place}.{name}")
    elif isinstance(value, list):
        assert schema["type"] == "array", place
        for inner in value if isinstance(schema.get("items"), dict) else ():
            check(inner, schema["items"], definitions, f"{place}[]")
    return None


def test_the_data_are_what_the_schema_says(site):
    schema, content = json.loads(json_schema()), json.loads((site / "leaderboard.json").read_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    check(content, schema, schema["$defs"])
    assert [one["name"] for one in content["benchmarks"]] == ['b"><b>', "camvid"]
    assert content["benchmarks"][1]["without_result"][0]["method"] == "broken"


def test_the_csv_has_a_line_for_each_row_with_its_page_and_authors(site):
    lines = list(csv.DictReader(io.StringIO((site / "leaderboard.csv").read_text())))
    assert [(line["benchmark"], line["page"]) for line in lines if line["method"] == "unet"] == [
        ('b"><b>', "methods/unet.html"),
        ("camvid", "methods/unet.html"),
    ]
    (own,) = [line for line in lines if line["authors"]]
    assert (own["paper"], own["licence"]) == ("10.1000/182", "MIT")


def test_the_pages_work_from_files_without_a_network(site, chromium):
    for name in ("index.html", "methods/unet.html", "benchmarks/camvid.html"):
        for width in (1600, 375):
            with chromium.open(site / name, width=width) as visit:
                assert visit.overflow() == 0, (name, width)
                assert visit.inaccessible() == [], (name, width)
                assert visit.faults() == [], (name, width)
    with chromium.open(site / "index.html") as visit:
        visit.page.get_by_role("searchbox").fill("unet")
        assert visit.page.locator("#methods tbody tr:visible").count() == 1
        visit.page.get_by_role("link", name="unet", exact=True).click()
        assert visit.page.locator("h1").inner_text() == "unet"
        visit.page.get_by_role("link", name="camvid").first.click()
        visit.page.get_by_role("link", name="All benchmarks").click()
        assert visit.page.locator("h1").inner_text() == "Leaderboard"
