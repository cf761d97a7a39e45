"""Text that every output can show: what its encoding lacks is written in plain letters."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

_ERRORS = "segbench-readable"
_ASCII = "segbench_ascii"
_PLAIN = {
    **dict.fromkeys("·–—−─━", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("μµ", "u"),
    **{"±": "+-", "×": "x", "≤": "<=", "≥": ">=", "≈": "~", "→": "->", "←": "<-", "…": "..."},
    **{"Δ": "Delta ", "√": "sqrt", "∞": "inf", "│": "|"},
}
# How Python answers characters that an encoding lacks unless the user chose another way; each ends a program or shows
# a code where a letter would do.
_UNCHOSEN = ("strict", "backslashreplace", "surrogateescape")


def make_output_readable() -> None:
    """Let stdout and stderr take any text, whatever their encoding is."""
    codecs.register_error(_ERRORS, replace_unencodable)
    codecs.register(_find_ascii)
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or stream.errors not in _UNCHOSEN:
            continue
        # click writes UTF-8 wherever it is asked for ASCII, unless that goes by another name.
        is_ascii = codecs.lookup(stream.encoding).name == "ascii"
        stream.reconfigure(encoding=_ASCII if is_ascii else None, errors=_ERRORS)


def replace_unencodable(error: UnicodeError) -> tuple[str, int]:
    r"""Answer an encoding error as an error handler of `codecs`: with plain letters, else with codes.

    >>> replace_unencodable(UnicodeEncodeError("ascii", "5 ± 1 é\udcff字", 0, 9, "?"))
    ('5 +- 1 e\\xff\\u5b57', 9)
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(spell_plainly, error.object[error.start : error.end])), error.end


def spell_plainly(character: str) -> str:
    """Return ASCII text for a character: letters that mean the same, else its code."""
    if character in _PLAIN:
        return _PLAIN[character]
    if "\udc80" <= character <= "\udcff":  # a byte of a file name, which is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or character.encode("ascii", "backslashreplace").decode()


def _find_ascii(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    ascii = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii.encode,
        ascii.decode,
        incrementalencoder=ascii.incrementalencoder,
        incrementaldecoder=ascii.incrementaldecoder,
        streamreader=ascii.streamreader,
        streamwriter=ascii.streamwriter,
        name=_ASCII,
    )
