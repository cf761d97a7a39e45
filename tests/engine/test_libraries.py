from __future__ import annotations

from segbench.engine import libraries
from segbench.engine.libraries import import_errors


def test_what_is_installed_here_can_be_imported():
    assert import_errors() == []


def test_a_library_that_cannot_be_imported_is_named_with_the_first_line_of_its_error(install_plugin, monkeypatch):
    install_plugin("fake-vision", {}, {"fake_vision.py": "raise RuntimeError('operator nms does not exist\\nmore')"})
    monkeypatch.setattr(libraries, "LIBRARIES", ("fake_vision", "no_such_library"))
    assert import_errors() == [
        "fake_vision cannot be imported: RuntimeError: operator nms does not exist",
        "no_such_library cannot be imported: ModuleNotFoundError: No module named 'no_such_library'",
    ]
