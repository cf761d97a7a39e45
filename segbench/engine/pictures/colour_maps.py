"""Colour maps: numbers as colours, evenly spaced to the eye and safe for people who do not tell red from green.

Both maps are straight lines in OKLab (B. Ottosson, "A perceptual color space for image processing", 2020), in which
equal distances look about equally different; a test holds the tables against that formula. They run between blue, grey
or white, and yellow or orange, which all common forms of colour blindness keep apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]
    Colours = NDArray[np.uint8]


def sequential(values: Array) -> Colours:
    """Return values from 0 (dark blue) to 1 (yellow) as colours, (..., 3); others are clipped."""
    return _look_up(SEQUENTIAL, values)


def diverging(values: Array, centre: float) -> Colours:
    """Return values as colours, (..., 3): white at `centre`, orange below it, blue above it.

    Both sides have one scale, which ends at the value that lies farthest from the centre (`span`).
    """
    return _look_up(DIVERGING, 0.5 + (values - centre) / (2 * span(values, centre)))


def span(values: Array, centre: float) -> float:
    """Return how far values lie from `centre` at most; 1 where they all are equal to it."""
    return float(np.abs(values - centre).max()) or 1.0


def _look_up(table: Colours, positions: Array) -> Colours:
    """Return the colours of positions 0 to 1 in a table; NaN counts as 0."""
    finite = np.nan_to_num(np.asarray(positions, dtype=np.float64))
    colours: Colours = table[np.rint(np.clip(finite, 0, 1) * (len(table) - 1)).astype(np.intp)]
    return colours


def _table(digits: str) -> Colours:
    """Return colours written as six hexadecimal digits each, (n, 3)."""
    return np.frombuffer(bytes.fromhex(digits), dtype=np.uint8).reshape(-1, 3)


# From dark blue (8, 30, 84) to yellow (255, 233, 92).
SEQUENTIAL = _table(
    "081e54091f540920550a21550b22550c22550c23560d24560e25560f26570f2757102857112857122958132a58132b58142c59152c59"
    "162d59172e59172f5a18305a19305a1a315a1b325b1b335b1c345b1d345c1e355c1f365c20375c20385d21385d22395d233a5d243b5e"
    "253c5e253c5e263d5e273e5e283f5f293f5f2a405f2b415f2b42602c42602d43602e44602f4561304661314661324761324861334962"
    "344962354a62364b62374c62384c63394d63394e633a4f633b50643c50643d51643e52643f5364405364415465425565425665435665"
    "445765455866465966475966485a66495b664a5c664b5d674c5d674c5e674d5f674e60674f6067506168516268526368536368546468"
    "5565685666685767695867695968695a69695a6a695b6a695c6b695d6c6a5e6d6a5f6d6a606e6a616f6a62706a63716a64716a65726b"
    "66736b67746b68746b69756b6a766b6b776b6c776b6d786b6e796b6f7a6c707b6c717b6c717c6c727d6c737e6c747e6c757f6c76806c"
    "77816c78826c79826c7a836d7b846d7c856d7d856d7e866d7f876d80886d81896d82896d838a6d848b6d858c6d868d6d878d6d888e6d"
    "898f6d8a906d8b906d8c916d8d926d8e936d8f946d90946d91956d92966d93976d94986d95986d96996d979a6d989b6d999c6d9a9c6d"
    "9b9d6d9c9e6d9e9f6d9fa06da0a06da1a16da2a26da3a36da4a46da5a46da6a56da7a66da8a76da9a86daaa86daba96dacaa6dadab6d"
    "aeac6dafac6cb0ad6cb1ae6cb2af6cb3b06cb4b06cb5b16cb6b26cb7b36cb9b46cbab46cbbb56bbcb66bbdb76bbeb86bbfb86bc0b96b"
    "c1ba6bc2bb6bc3bc6ac4bc6ac5bd6ac6be6ac7bf6ac8c06acac16acbc169ccc269cdc369cec469cfc569d0c569d1c668d2c768d3c868"
    "d4c968d5ca68d6ca67d7cb67d9cc67dacd67dbce66dcce66ddcf66ded066dfd166e0d265e1d365e2d365e3d465e5d564e6d664e7d764"
    "e8d863e9d863ead963ebda63ecdb62eddc62eedd62efdd61f1de61f2df61f3e060f4e160f5e160f6e25ff7e35ff8e45ef9e55efbe65e"
    "fce65dfde75dfee85cffe95c"
)


# From orange by way of near white (245, 245, 245) to blue, both ends as far from it as the nearer of (168, 76, 0) and
# (30, 85, 165) is.
DIVERGING = _table(
    "a84c00a94d05a94f0aaa500eab5212ac5316ac5419ad561cae571eaf5821af5a24b05b26b15d28b15e2ab25f2db3612fb36231b46333"
    "b56535b66637b66739b7693bb86a3db86b3fb96d41ba6e42ba6f44bb7146bc7248bc734abd754cbe764dbe774fbf7951c07a53c07b55"
    "c17c56c27e58c27f5ac3805cc4825dc4835fc58461c68663c68764c78866c88a68c88b69c98c6bc98d6dca8f6fcb9070cb9172cc9374"
    "cd9475cd9577ce9779ce987bcf997cd09b7ed09c80d19d81d29e83d2a085d3a187d3a288d4a48ad5a58cd5a68dd6a88fd6a991d7aa92"
    "d7ac94d8ad96d9ae98d9af99dab19bdab29ddbb39edcb5a0dcb6a2ddb7a4ddb9a5debaa7debba9dfbdabe0beace0bfaee1c1b0e1c2b1"
    "e2c3b3e2c4b5e3c6b7e3c7b8e4c8bae4cabce5cbbee6ccbfe6cec1e7cfc3e7d0c5e8d2c6e8d3c8e9d4cae9d6cbead7cdead8cfebdad1"
    "ebdbd2ecdcd4ecded6eddfd8ede0daeee2dbeee3ddefe4dfefe6e1f0e7e2f0e8e4f1eae6f1ebe8f2ece9f2eeebf3efedf3f0eff4f2f1"
    "f4f3f2f5f4f4f4f4f5f3f3f4f1f2f4f0f1f3eef0f3eceff2ebeef2e9edf1e8ebf1e6eaf0e5e9f0e3e8efe2e7efe0e6eedfe5eedde4ed"
    "dce2eddae1ecd8e0ecd7dfebd5deebd4ddead2dcead1dbe9cfdae9ced8e8ccd7e8cbd6e7c9d5e7c8d4e6c6d3e6c5d2e5c3d1e5c2d0e4"
    "c0cee4bfcde3bdcce3bccbe2bacae2b9c9e1b7c8e1b6c7e0b4c6e0b3c4dfb1c3dfb0c2deaec1deadc0ddabbfddaabedca8bddba7bcdb"
    "a5bbdaa4b9daa2b8d9a1b7d99fb6d89eb5d89cb4d79bb3d79ab2d698b1d697b0d595aed594add492acd391abd38faad28ea9d28ca8d1"
    "8ba7d189a6d088a5d087a4cf85a2ce84a1ce82a0cd819fcd7f9ecc7e9dcc7c9ccb7b9bcb7a9aca7899c97797c97596c87495c87294c7"
    "7193c77092c66e91c66d90c56b8fc46a8ec4688dc3678bc3658ac26489c16388c16187c06086c05e85bf5d84bf5b83be5a82bd5981bd"
    "577fbc567ebc547dbb537cba527bba507ab94f79b94d78b84c77b84a76b74975b64773b64672b54571b54370b4426fb3406eb33f6db2"
    "3d6cb23c6bb13a6ab03968b0"
)
