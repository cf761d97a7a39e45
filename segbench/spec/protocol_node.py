"""The protocol as a benchmark file writes it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .protocol import Protocol
from .validate import validated

if TYPE_CHECKING:
    from .node import Node


def read_protocol(node: Node) -> Protocol:
    """Return the checked protocol; a relative path of weights is relative to the folder of the file it is written in.

    Raises SpecError, also if there is no such file, and if the best weights are selected on the split that is reported.
    """
    protocol = validated(Protocol, node)
    # Not a rule of the model: the trials of tuning select as their method does, and are scored on val.
    if protocol.select == "best" and (protocol.evaluate != "test" or protocol.validations == 0):
        raise node.error("select: best needs validations of at least 1 on val, and evaluate: test")
    if protocol.surface_distances is not None and find_spec("monai") is None:
        written = node.mapping("must be a mapping")["surface_distances"]
        raise written.error("needs the library monai, not installed here: pip install 'segbench[medical]'")
    if protocol.features.weights is None:
        return protocol
    written = node.mapping("must be a mapping")["features"].mapping("must be a mapping")["weights"]
    path = written.place.folder / Path(protocol.features.weights).expanduser()
    if not path.is_file():
        raise written.error(f"there is no file {path}")
    features = protocol.features.model_copy(update={"weights": str(path.resolve())})
    return protocol.model_copy(update={"features": features})
