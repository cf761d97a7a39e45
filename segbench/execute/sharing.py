"""Sharing a results folder with other runs: cells are claimed, and what others recorded meanwhile counts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from segbench.store.claims import claim

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.store.claims import Claim
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Record

_BEAT_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 1.0  # before a cell that another run works on is looked at again


class Shares:
    """The cells that this run has claimed; entered as a context, it gives all back at the end."""

    def __init__(self, folder: ResultsFolder, keys: Iterable[str]) -> None:
        self._folder = folder
        self._claims: dict[str, Claim] = {}
        self._found = {key: self._written(key) for key in keys}
        self._ask_again: dict[str, float] = {}
        self._beaten = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for key in list(self._claims):
            self.release(key)

    def is_due(self, key: str) -> bool:
        """Whether a cell should be looked at, or was so just now and another run works on it."""
        return time.monotonic() >= self._ask_again.get(key, 0.0)

    def take(self, key: str) -> bool:
        """Claim a cell; False while another run works on it."""
        mine = claim(self._folder, key)
        if mine is None:
            self._ask_again[key] = time.monotonic() + _ASK_AGAIN_SECONDS
            return False
        self._claims[key] = mine
        return True

    def news(self, key: str) -> Record | None:
        """Return the record that another run has written of a cell since this run began, unless it was interrupted.

        One that failed before is tried again; one that failed meanwhile is not.
        """
        record = self._folder.read(key)
        if record is None or record.status == "interrupted":
            return None
        return record if record.status == "ok" or self._written(key) != self._found[key] else None

    def lost(self) -> list[str]:
        """Keep the claims alive; return, and forget, those that another run has taken over."""
        if time.monotonic() - self._beaten < _BEAT_SECONDS:
            return []
        self._beaten = time.monotonic()
        lost = [key for key, mine in self._claims.items() if not mine.beat()]
        for key in lost:
            del self._claims[key]
        return lost

    def release(self, key: str) -> None:
        """Give a cell back if this run has it."""
        if key in self._claims:
            self._claims.pop(key).release()

    def _written(self, key: str) -> int | None:
        try:
            return self._folder.record_path(key).stat().st_mtime_ns
        except FileNotFoundError:
            return None
