"""Events are read as they are written, from where the last reading ended."""

from __future__ import annotations

from segbench.store.events import read_events
from segbench.store.folder import EVENTS


def test_what_was_written_since_is_read_once_and_a_line_only_when_it_is_whole(tmp_path):
    assert read_events(tmp_path) == ([], 0)
    with (tmp_path / EVENTS).open("a") as file:
        file.write('{"time": 1, "event": "a"}\n{"time": 2, ')
        file.flush()
        events, end = read_events(tmp_path)
        assert events == [{"time": 1, "event": "a"}]
        assert read_events(tmp_path, end) == ([], end)
        file.write('"event": "b"}\n')
    events, end = read_events(tmp_path, end)
    assert events == [{"time": 2, "event": "b"}]
    assert end == (tmp_path / EVENTS).stat().st_size


def test_a_file_that_was_begun_anew_is_read_from_its_beginning(tmp_path):
    (tmp_path / EVENTS).write_text('{"time": 1}\n')
    assert read_events(tmp_path, 1000) == ([{"time": 1}], 12)


def test_what_is_no_event_is_left_out(tmp_path):
    lines = ["no json", "[1]", '{"time": "late"}', '{"time": NaN}', '{"time": 1e999}', "[" * 100_000, '{"time": 3}']
    (tmp_path / EVENTS).write_text("\n".join([*lines, ""]))
    assert read_events(tmp_path)[0] == [{"time": 3}]
