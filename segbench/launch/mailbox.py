"""What tasks on nodes tell a run, and whether they shall stop: kept by an actor of Ray beside the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.execute.workers import Event

if TYPE_CHECKING:
    from collections.abc import Sequence


class Mailbox:
    """Events of tasks, by the names that the run has given them, and how often each was asked to stop.

    Ray begins a task again where its node is lost, though a process there may live on: only the latest one is heard.
    """

    def __init__(self) -> None:
        self._events: list[tuple[str, Event]] = []
        self._holders: dict[str, str] = {}
        self._stops: dict[str, int] = {}

    def open(self, name: str) -> None:
        """Let a task be heard."""
        self._holders[name], self._stops[name] = "", 0

    def close(self, name: str) -> None:
        """Hear a task no more, which ends once it finds out."""
        self._holders.pop(name, None)
        self._stops.pop(name, None)

    def begin(self, name: str, holder: str) -> None:
        """Note which process does a task from now on, written as the node and what tells it from others."""
        if before := self._holders.get(name):
            lost, node = before.partition(" ")[0], holder.partition(" ")[0]
            message = f"the node {lost} was lost, or a process of Ray on it; this begins again on {node}"
            self._events.append((name, Event("warning", {"message": message})))
        if name in self._holders:
            self._holders[name] = holder

    def exchange(self, name: str, holder: str, events: Sequence[Event]) -> int | None:
        """Take events of a task, and return how often it was asked to stop; None if it is no longer wanted."""
        if self._holders.get(name) != holder:
            return None
        self._events += [(name, event) for event in events]
        return self._stops[name]

    def ask_to_stop(self, name: str) -> None:
        """Ask a task for an early end."""
        if name in self._stops:
            self._stops[name] += 1

    def collect(self) -> list[tuple[str, Event]]:
        """Return the events since the last time."""
        events, self._events = self._events, []
        return events
