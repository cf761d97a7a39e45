from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.config.yaml import LARGEST_INTEGER, Node, Place, check_keys, describe, read_file, read_text
from segbench.errors import SpecError

FILE = Place("bench.yaml", Path("folder"), line=3)
OPTION = Place("--set a.b=1", Path())


def test_a_place_is_file_line_and_path():
    assert str(FILE) == "bench.yaml:3"
    assert str(FILE.entry("a").entry(0).on_line(5)) == "bench.yaml:5: a.0"
    assert FILE.entry("a").folder == Path("folder")


def test_what_is_given_on_the_command_line_has_no_line():
    assert str(OPTION.entry("a").on_line(5)) == "--set a.b=1: a"


def test_a_value_of_another_type_is_an_error_that_names_it():
    node = Node([Node(1, FILE)], FILE)
    assert node.sequence("must be a list") == [Node(1, FILE)]
    with pytest.raises(SpecError, match=r"^bench.yaml:3: must be a mapping, not a list$"):
        node.mapping("must be a mapping")
    with pytest.raises(SpecError, match=r"^bench.yaml:3: must be text, not a list$"):
        node.text("must be text")
    with pytest.raises(SpecError, match=r"^bench.yaml:3: must be a list, not a mapping$"):
        Node({}, FILE).sequence("must be a list")


def test_scalars_are_named_so_that_text_and_numbers_differ():
    assert [describe(value) for value in ("1", 1, 0.5, False, None)] == [
        "the text '1'",
        "the number 1",
        "the number 0.5",
        "false",
        "null",
    ]


def test_an_unknown_key_is_an_error_with_the_allowed_and_the_nearest():
    node = Node({"sedes": Node(1, FILE.entry("sedes"))}, FILE)
    with pytest.raises(SpecError) as caught:
        check_keys(node, "must be a mapping", ["name", "seeds"])
    assert str(caught.value) == (
        "bench.yaml:3: sedes: unknown key 'sedes'. Did you mean 'seeds'? Available: name, seeds."
    )


HERE = Place("bench.yaml", Path(), line=1)


def read(text):
    return read_text(text, HERE).plain()


def refusal(text):
    with pytest.raises(SpecError) as caught:
        read_text(text, HERE)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-0.0", 0.0),
        ("12e03", 12000.0),
        ("+12", 12),
        ("0o14", 12),
        ("0xC", 12),
        ("010", 10),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text, value):
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "yes",
        "on",
        "off",
        "n",
        "y",
        "1_000",
        "1:30",
        "2001-12-14",
        "0b11",
        "=",
        "1e",
        "e3",
        ".",
        "12e03x",
        "fALSE",
    ],
)
def test_what_yaml_1_1_converts_stays_text(text):
    assert read(text) == text


def test_quoted_scalars_are_text():
    assert read("['1', \"true\", 'null', !!str 5]") == ["1", "true", "null", "5"]


def test_a_yaml_1_1_directive_changes_nothing():
    assert read("%YAML 1.1\n---\n[no, 1e-3]") == ["no", 0.001]


@pytest.mark.parametrize("text", ["%YAML 1.9\n---\na: 1", "%YAML 9.9\n---\na: 1", "%YAML 1.9\na: 1"])
def test_an_unknown_version_of_yaml_is_refused(text):
    assert "not valid YAML" in refusal(text)
    assert "version" in refusal(text)


def test_keys_are_the_text_that_is_written():
    assert read("{1: a, no: b, 0x10: c}") == {"1": "a", "no": "b", "0x10": "c"}


def test_an_alias_stands_for_what_it_names():
    assert read("a: &x {b: [1]}\nc: *x") == {"a": {"b": [1]}, "c": {"b": [1]}}


names = st.text("abcxyz019 _-.:#'\"\\/é", max_size=8)

integers = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
values = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_json_is_read_as_itself(value):
    assert read(json.dumps(value)) == value


def test_entries_know_their_line_and_path():
    node = read_text("a:\n  b:\n    - 1\n    -\n      c: 2\n", HERE)
    item = node.value["a"].value["b"].value[1]
    assert str(node.value["a"].value["b"].place) == "bench.yaml:2: a.b"
    assert str(item.value["c"].place) == "bench.yaml:5: a.b.1.c"


def test_a_duplicate_key_is_an_error_with_both_lines():
    assert refusal("a:\n  b: 1\n  c: 2\n  b: 3\n") == "bench.yaml:4: a.b: duplicate key 'b'; it is already on line 2"


def test_keys_that_are_written_differently_but_are_the_same_are_duplicates():
    assert "duplicate key 'b'" in refusal("b: 1\n'b': 2\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2", 2),
        ("a: b: c", 1),
        ("a: 1\n\tb: 2", 2),
        ("a: 1\n  b: 2", 2),
        ("a: 'x\n\n", 3),
        ("a: *nope", 1),
    ],
)
def test_a_syntax_error_tells_its_line(text, line):
    assert refusal(text).startswith(f"bench.yaml:{line}: not valid YAML")


def test_two_documents_are_refused():
    assert refusal("a: 1\n---\nb: 2\n").startswith("bench.yaml:2: not valid YAML")


def test_control_characters_are_refused():
    assert "not valid YAML" in refusal("a: \x01")


def test_an_alias_that_contains_itself_is_refused():
    assert refusal("a: &x\n  b: [1, *x]\n") == "bench.yaml:2: a.b.1: this alias contains itself"


def test_aliases_that_multiply_are_refused():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "aliases nested in aliases" in refusal("\n".join(lines))


@pytest.mark.parametrize("text", ["[" * 1200 + "]" * 1200, "[ {a: " * 400, "- " * 1200 + "x"])
def test_nesting_without_end_is_refused(text):
    assert "nested too deeply" in refusal(text)


def test_merge_keys_point_to_extends():
    assert refusal("a: &x {b: 1}\nc:\n  <<: *x\n") == (
        "bench.yaml:3: c: YAML 1.2 has no merge key <<; a method can extend another with extends:"
    )


@pytest.mark.parametrize("text", ["a: !foo 1", "a: !!python/object:os.system {}", "a: !!binary AAAA", "a: !!set {b}"])
def test_tags_are_refused(text):
    assert "is not supported; write plain values" in refusal(text)


def test_a_list_cannot_be_a_key():
    assert "a key must be a plain name" in refusal("[1, 2]: 3")


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999"])
def test_numbers_are_finite(text):
    assert refusal(f"a: {text}") == f"bench.yaml:1: a: {text} is not a finite number"


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 4000, f"-{2**63}", hex(2**63), "0x" + "f" * 9000])
def test_an_integer_has_at_most_64_bits(number):
    assert refusal(f"a: {number}") == (
        "bench.yaml:1: a: this number has too many digits; whole numbers go up to 9223372036854775807"
    )


def test_the_largest_integer_is_read():
    assert read_text(str(2**63 - 1), Place("", Path())).value == 2**63 - 1


def test_an_anchor_that_is_reused_is_refused_with_both_lines():
    assert refusal("a: &x 1\nb: &y 2\nc: &x 3\n") == (
        "bench.yaml:3: the anchor 'x' is already on line 1; give each its own name"
    )


@pytest.mark.parametrize("text", ["x" * 10**6, "x y " * 10**5, "1" * 5000 + "e9"])
def test_what_a_message_quotes_is_short(text):
    assert len(refusal(f"a: {text}\na: 1")) < 300
    assert len(refusal(f"a: 1\n{text[:900]}: 1\n{text[:900]}: 2")) < 3000
    with pytest.raises(SpecError) as caught:
        Node(text, Place("bench.yaml", Path())).sequence("must be a list")
    assert len(str(caught.value)) < 200


def test_what_is_given_on_the_command_line_has_no_line_of_reader():
    with pytest.raises(SpecError, match=r"^--set a=\[1: a: not valid YAML"):
        read_text("[1", Place("--set a=[1", Path()).entry("a"))


def written(tmp_path, content):
    path = tmp_path / "bench.yaml"
    path.write_bytes(content)
    return path


def test_a_file_may_start_with_a_byte_order_mark_and_have_windows_line_ends(tmp_path):
    assert read_file(written(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")).plain() == {"a": 1, "b": 2}


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"---\n", b"null\n"])
def test_an_empty_file_is_refused(tmp_path, content):
    with pytest.raises(SpecError, match=r"bench.yaml:1: the file is empty"):
        read_file(written(tmp_path, content))


@pytest.mark.parametrize("content", [b"- 1\n", b"text\n", b"5\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content):
    with pytest.raises(SpecError, match=r"bench.yaml:1: a benchmark file is a mapping"):
        read_file(written(tmp_path, content))


def test_a_file_that_is_no_text_is_refused_with_its_line(tmp_path):
    with pytest.raises(SpecError, match=r"bench.yaml:2: this is not UTF-8 text"):
        read_file(written(tmp_path, b"a: 1\nb: \xff\xfe\n"))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        read_file(tmp_path)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "/proc/self/mem", "/"])
def test_what_is_no_file_of_text_is_refused_at_once(tmp_path, target):
    path = tmp_path / "bench.yaml"
    path.symlink_to(target)
    with pytest.raises(SpecError, match=r"bench.yaml:1: (cannot be read|this is not UTF-8)"):
        read_file(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "bench.yaml")
    with pytest.raises(SpecError, match=r"bench.yaml:1: cannot be read: it is a pipe, not a file"):
        read_file(tmp_path / "bench.yaml")


def test_a_key_begins_no_line_of_its_own_and_steers_no_terminal():
    assert refusal('"a\\n\\e[2J": &x 1\n"a\\n\\e[2J": 2').startswith(r"bench.yaml:2: a\u000a\u001b[2J: duplicate key")


def test_a_file_larger_than_any_benchmark_is_refused_unread(tmp_path):
    with pytest.raises(SpecError, match=r"bench.yaml:1: cannot be read: it has more than 131072 bytes"):
        read_file(written(tmp_path, b"a: " + b"x" * 20_000_000))
