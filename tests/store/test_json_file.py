from __future__ import annotations

import json

import pytest

from segbench.store.json_file import read_json, sealed_json


def test_a_sealed_object_is_read_back_the_same_and_any_reader_of_json_takes_it(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(sealed_json({"x": [1, 2.5, "é"], "y": None}))
    assert read_json(path) == {"x": [1, 2.5, "é"], "y": None}
    assert json.loads(path.read_text()).keys() == {"seal", "x", "y"}


def test_every_flipped_bit_is_found(tmp_path):
    whole = sealed_json({"classes": ["sky", "road"], "channels": 3})
    for bit in range(8 * len(whole)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"its checksum does not match"):
            read_json(tmp_path / "a.json")


@pytest.mark.parametrize("content", ["[1, 2]", '{"seals": 3}', '"text"', "1.5"])
def test_json_without_a_seal_is_read(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    assert read_json(tmp_path / "a.json") == json.loads(content)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 10**6, b'{"a":' * 10**6, b"1" * 10**5, b"NaN", b"-Infinity", b"\xff", b"[1] 2"]
)
def test_anything_else_is_a_value_error(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"line|its"):
        read_json(tmp_path / "a.json")


def test_a_file_larger_than_is_asked_for_is_not_read(tmp_path):
    (tmp_path / "a.json").write_text("[1, 2]")
    assert read_json(tmp_path / "a.json", at_most=6) == [1, 2]
    with pytest.raises(ValueError, match="more than 5 bytes"):
        read_json(tmp_path / "a.json", at_most=5)
