from __future__ import annotations

import hashlib
import zlib

import numpy as np
import pytest

from segbench.checksum import UNSEALED, check_seal, seal, sha256_of_array, sha256_of_file


def write_sealed(path, content):
    with path.open("w+b") as file:
        file.write(content)
        seal(file)
    return path


def test_the_seal_is_the_crc32_of_the_file_with_zeros_for_its_digits(tmp_path):
    path = write_sealed(tmp_path / "a", b"before " + UNSEALED.encode() + b" after")
    expected = zlib.crc32(b"before segbench crc32 00000000 segbench crc32 after")
    assert path.read_bytes() == f"before segbench crc32 {expected:08x} segbench crc32 after".encode()
    check_seal(path)


@pytest.mark.parametrize("lengths", [(0, 0), (0, 3_000_000), (3_000_000, 0), (60_000, 2_000_000)])
def test_the_seal_stands_near_either_end_of_a_file_of_any_size(tmp_path, lengths):
    path = write_sealed(tmp_path / "a", UNSEALED.encode().join(bytes(length) for length in lengths))
    check_seal(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if sum(lengths) else -1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="its checksum does not match"):
        check_seal(path)


def test_every_flipped_bit_of_a_file_is_found(tmp_path):
    path = write_sealed(tmp_path / "a", b"0123" + UNSEALED.encode() + b"4567")
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with pytest.raises(ValueError, match="its checksum does not match"):
            check_seal(path)


@pytest.mark.parametrize("content", [b"", b"written by an older version", b"segbench crc32"])
def test_a_file_without_a_seal_passes(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    check_seal(tmp_path / "a")


@pytest.mark.parametrize("content", [b"segbench crc32 01", b"1 segbench crc32", b"segbench crc32 ........"])
def test_what_is_left_of_a_seal_does_not_match(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="its checksum does not match"):
        check_seal(tmp_path / "a")


def test_files_are_identified_by_their_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()


def test_the_hash_of_an_array_depends_on_its_values_its_shape_and_its_type():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert sha256_of_array(array.copy()) == sha256_of_array(array)
    others = [array + np.uint8(1), array.reshape(3, 2), array.astype(np.uint16)]
    assert sha256_of_array(array) not in map(sha256_of_array, others)
