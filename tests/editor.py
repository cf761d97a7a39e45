"""What an editor shows of a benchmark file: the real yaml-language-server, over its standard input and output."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = "yaml-language-server"
OFFLINE = {"schemaStore": {"enable": False}, "completion": True, "validate": True, "hover": True}


class Editor:
    """Opens one file in the server; lines and columns count from 0."""

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        self.server = server
        self.numbers = 0
        self.notified: dict[str, Any] = {}  # the latest parameters of each notification
        self.uri = ""

    def open(self, path: Path) -> None:
        """Show a file to the server, which then publishes its mistakes."""
        self.uri = path.as_uri()
        document = {"uri": self.uri, "languageId": "yaml", "version": 1, "text": path.read_text()}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def mistakes(self) -> list[tuple[int, str]]:
        """Return line and message of each mistake in the file."""
        while self.notified.get("textDocument/publishDiagnostics", {}).get("uri") != self.uri:
            self.receive()
        found = self.notified["textDocument/publishDiagnostics"]["diagnostics"]
        return [(one["range"]["start"]["line"], one["message"]) for one in found]

    def completions(self, line: int, column: int) -> dict[str, str]:
        """Return what may stand at a place, by its name, with what is said of it."""
        found = self.request("textDocument/completion", self._at(line, column))["items"]
        return {item["label"]: _text(item.get("documentation")) for item in found}

    def hover(self, line: int, column: int) -> str:
        """Return what the editor says of what stands at a place."""
        return _text((self.request("textDocument/hover", self._at(line, column)) or {}).get("contents"))

    def _at(self, line: int, column: int) -> dict[str, Any]:
        return {"textDocument": {"uri": self.uri}, "position": {"line": line, "character": column}}

    def request(self, method: str, parameters: Any) -> Any:
        """Ask the server and return its answer; what it asks or says meanwhile is answered or kept."""
        self.numbers += 1
        number = self.numbers
        self._send({"id": number, "method": method, "params": parameters})
        while True:
            message = self.receive()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def notify(self, method: str, parameters: Any) -> None:
        """Tell the server something."""
        self._send({"method": method, "params": parameters})

    def receive(self) -> dict[str, Any]:
        """Return the next message; what the server asks for is its configuration."""
        assert self.server.stdout is not None
        length = 0
        while (line := self.server.stdout.readline().strip()) or not length:
            name, _, value = line.partition(b":")
            length = int(value) if name == b"Content-Length" else length
            assert line, "the server has ended"
        message: dict[str, Any] = json.loads(self.server.stdout.read(length))
        if "method" in message and "id" in message:
            asked = message["params"].get("items", []) if message["params"] else []
            known = [OFFLINE if item.get("section") == "yaml" else {} for item in asked]
            self._send({"id": message["id"], "result": known if asked else None})
        elif "method" in message:
            self.notified[message["method"]] = message["params"]
        return message

    def _send(self, message: dict[str, Any]) -> None:
        assert self.server.stdin is not None
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self.server.stdin.flush()


def _text(said: Any) -> str:
    return str(said["value"] if isinstance(said, dict) else said or "")


@contextmanager
def start_editor(folder: Path) -> Iterator[Editor]:
    """Start the server for a folder; skips the test where it is not installed."""
    program = shutil.which(PROGRAM)
    if program is None:
        pytest.skip(f"needs {PROGRAM}: npm install --global {PROGRAM}")
    with subprocess.Popen([program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder) as server:
        try:
            editor = Editor(server)
            able = {"workspace": {"configuration": True}, "textDocument": {"completion": {}, "hover": {}}}
            editor.request("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": able})
            editor.notify("initialized", {})
            editor.notify("workspace/didChangeConfiguration", {"settings": {"yaml": OFFLINE}})
            yield editor
        finally:
            server.kill()
