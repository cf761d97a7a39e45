"""The order and content of a dataset's samples, read here and in another process; runs without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from segbench.checksum import sha256_of_array
from segbench.contract import Sample
from segbench.registry.datasets import open_dataset
from segbench.registry.options import coerce_options

from .check import CheckFailed, CheckSkipped

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

    from segbench.contract import Dataset, Split
    from segbench.registry import Offer


# Of each split so many samples, evenly spread, are read where all of them could take long.
MOST_SAMPLES = 16

_SECONDS = 600

# Prints the order of the samples; if torch is imported, prints the module that does so and ends, since torch takes
# seconds to import.
_PROGRAM = """
import json, os, sys

def answer(**facts):
    os.write(pipe, json.dumps(facts).encode())
    os._exit(0)

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch":
            frame = sys._getframe(1)
            while frame.f_globals.get("__name__", "").startswith(("importlib", "_frozen_importlib")):
                frame = frame.f_back
            answer(torch=frame.f_globals.get("__name__", "?"))

pipe = os.dup(1)
os.dup2(2, 1)  # what the plugin prints
path, name, options = json.loads(sys.argv[1])
sys.path[:] = path
sys.meta_path.insert(0, Finder)
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
from segbench.testing.dataset_facts import sample_order
answer(order=sample_order(open_dataset(load_registry().find("dataset", name), None, options)))
"""


def spread_indices(split: Sized, most: int = MOST_SAMPLES) -> list[int]:
    """Return the indices of so many samples, evenly spread over the split, its first and last among them.

    >>> spread_indices(range(100), 3)
    [0, 50, 99]
    """
    count = min(most, len(split))
    return [round(place * (len(split) - 1) / max(count - 1, 1)) for place in range(count)]


def sample_order(dataset: Dataset) -> dict[str, list[str]]:
    """Return for each split the id and the content of some samples, and the ids of all where they are known unread."""
    return {name: [*map(str, sample_ids(split)), *_contents(split)] for name, split in dataset.splits.items()}


def sample_ids(split: Split) -> Sequence[str]:
    """Return the ids of all samples where the split states them, else of some, which are read."""
    ids: Sequence[str] | None = getattr(split, "ids", None)
    return ids if ids is not None else [Sample(*split[index]).id for index in spread_indices(split)]


def read_in_another_process(offer: Offer) -> dict[str, Any]:
    """Open the dataset in a new process, read some of it, and return {"order": ...}, or {"torch": ...}.

    "order" is the order of the samples, "torch" the module that imports torch, which ends the process. Raises
    CheckSkipped if the plugin is neither installed nor a file, CheckFailed if the dataset cannot be opened there.
    """
    if offer.file is None and not entry_points(group="segbench", name=offer.plugin):
        raise CheckSkipped("the plugin is not installed, so that another process could not find it")
    options = coerce_options(offer, offer.component.example_options)
    question = json.dumps([sys.path, offer.full_name, options])
    # Texts get other hashes than here, so that sets of them come in another order.
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM, question],  # -P: nothing is imported from the working folder
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    if done.returncode != 0:
        last = (done.stderr or "").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise CheckFailed(f"in a process of its own it cannot be opened and read: {last[0]}")
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def open_example(offer: Offer) -> Dataset:
    """Open the dataset with its example options, its files at $SEGBENCH_DATA/NAME."""
    return open_dataset(offer, None, offer.component.example_options)


def _contents(split: Split) -> list[str]:
    samples = [Sample(*split[index]) for index in spread_indices(split)]
    return [f"{sample.id} {sha256_of_array(sample.image)} {sha256_of_array(sample.labels)}" for sample in samples]
