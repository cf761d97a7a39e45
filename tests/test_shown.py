from __future__ import annotations

import json
import unicodedata

import pytest

from segbench.errors import DataError
from segbench.shown import clean, clean_line, quote, shorten

EVERY_CHARACTER = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))


def test_nothing_that_steers_a_terminal_or_hides_is_left():
    left = {(unicodedata.category(one), one) for one in clean(EVERY_CHARACTER) if not one.isprintable()}
    steering = {one for category, one in left if category in ("Cc", "Zl", "Zp")}
    assert steering == {"\t", "\n"}
    assert not {one for _, one in left if unicodedata.bidirectional(one) in ("LRE", "RLE", "LRO", "RLO", "PDF")}
    assert not {one for _, one in left if unicodedata.bidirectional(one) in ("LRI", "RLI", "FSI", "PDI")}


@pytest.mark.parametrize("text", ["smp/unet", "細胞 é ±", "می\u200cخواهم", "👩\u200d🔬", "\udcff", "a\tb\nc"])
def test_what_can_be_read_stays(text):
    assert clean(text) == text


@pytest.mark.parametrize("name", ["\x1b]52;c;cm0gLXJm\x07", "a\u202eb", "\x9b2J", "\U000e0041\u2028", "a\r"])
def test_cleaned_json_says_the_same(name):
    written = json.dumps({name: name}, ensure_ascii=False)
    assert json.loads(clean(written)) == {name: name}
    assert clean(written).isprintable()


def test_a_line_stays_one_line():
    assert clean_line("a\nb\tc\r\x85d") == r"a\u000ab\u0009c\u000d\u0085d"


def test_long_text_is_cut_in_lines_and_within_them():
    assert shorten("short\ntext\n") == "short\ntext\n"
    found = shorten("\n".join(["a" * 10**6, *map(str, range(100_000))])).split("\n")
    assert found[0] == "a" * 1400 + " ... (998000 characters more) ... " + "a" * 600
    assert found[1:] == [*map(str, range(29)), "... and 99971 more lines"]


def test_every_error_of_ours_is_short():
    assert len(str(DataError("x" * 10**7))) < 3000


@pytest.mark.parametrize("value", ["x" * 10**6, [[1] * 10**5] * 10**5, {"a": "b" * 10**6}, 10**1000, ["y" * 10**5] * 3])
def test_a_quoted_value_is_short(value):
    assert len(quote(value)) < 500
