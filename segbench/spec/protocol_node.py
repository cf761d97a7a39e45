"""The protocol as a benchmark file writes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .protocol import Protocol
from .validate import validated

if TYPE_CHECKING:
    from .node import Node


def read_protocol(node: Node) -> Protocol:
    """Return the checked protocol; a relative path of weights is relative to the folder of the file it is written in.

    Raises SpecError, also if there is no such file.
    """
    protocol = validated(Protocol, node)
    if protocol.features.weights is None:
        return protocol
    written = node.mapping("must be a mapping")["features"].mapping("must be a mapping")["weights"]
    path = written.place.folder / Path(protocol.features.weights).expanduser()
    if not path.is_file():
        raise written.error(f"there is no file {path}")
    features = protocol.features.model_copy(update={"weights": str(path.resolve())})
    return protocol.model_copy(update={"features": features})
