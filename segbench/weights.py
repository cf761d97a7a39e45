"""Files of pretrained weights: read without running code from them, compared with a network, and identified.

Libraries are imported inside the functions, so any module of a plugin may import this one.
"""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checksum import sha256_of_file
from .errors import WeightsError, list_some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor


__all__ = ["SUFFIXES", "download_provenance", "file_provenance", "hub_provenance", "misfit", "read_weights"]


SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

# Batch normalisation's counter of batches, which files from before 2018 lack and torch then starts at 0.
_COUNTER = "num_batches_tracked"

_SHOWN = 5

# The names under which a checkpoint of a training usually holds the tensors of its network, the averaged ones first.
_USUAL = (
    *("state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict", "model_state", "net", "network"),
    *("net_state_dict", "network_state_dict", "weights", "params", "generator", "teacher"),
)


# Whether weights are not read, since those of a finished training take their place.
_READS_NOTHING: ContextVar[bool] = ContextVar("reads nothing", default=False)


@contextmanager
def reading_nothing() -> Iterator[None]:
    """Let `read_weights` return no tensors and `misfit` find nothing wrong, whether or not a file is there."""
    token = _READS_NOTHING.set(True)
    try:
        yield
    finally:
        _READS_NOTHING.reset(token)


def read_weights(path: Path, option: str) -> dict[str, Tensor]:
    """Read a file of named tensors, or a checkpoint that holds them under a usual name; nothing is unpickled.

    Usual are `state_dict`, `model`, `model_state_dict` and the like, or any name if it is the only one with tensors;
    the prefixes of parallel and compiled networks are removed. `option` is what the user names the file with, for
    messages; by convention such an option takes none, imagenet or a path. Raises WeightsError for a missing file, one
    that cannot be read without running code from it, and other content.
    """
    from timm.models import clean_state_dict

    if _READS_NOTHING.get():
        return {}
    if not path.is_file():
        raise WeightsError(
            f"{option}: there is no file {path.absolute()}; give none, imagenet, or the path of a file ending in "
            f"{', '.join(SUFFIXES)}"
        )
    try:
        content = _load(path)
    except Exception as error:
        raise WeightsError(
            f"{option}: {path} cannot be read ({type(error.__cause__ or error).__name__}); it must be a .safetensors "
            "file, or one that torch.load takes with weights_only=True"
        ) from error
    state = _find_state(content)
    if state is None:
        raise WeightsError(
            f"{option}: {path} does not hold named tensors (a state dict): it holds {_describe(content)}; "
            "save the network's state_dict() as a file of its own"
        )
    return dict(clean_state_dict(state))


def _load(path: Path) -> Any:
    """Return what a file holds, without unpickling more than tensors, plain values and parsed arguments."""
    import safetensors.torch
    import torch

    if path.suffix.lower() == ".safetensors":
        return safetensors.torch.load_file(path)
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _find_state(content: Any) -> dict[str, Tensor] | None:
    """Return the named tensors that some content is or holds; None if there are none or it is not clear which."""
    if _is_state(content):
        return dict(content)
    parts = content if isinstance(content, dict) else {}
    usual = (_find_state(parts[name]) for name in _USUAL if name in parts)
    direct = [part for part in parts.values() if _is_state(part)]
    return next(filter(None, usual), None) or (dict(direct[0]) if len(direct) == 1 else None)


def _is_state(content: Any) -> bool:
    import torch

    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items())
    )


def _describe(content: Any) -> str:
    """Say what a file holds in place of tensors: the names of its entries with their types, or a type."""
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    entries = [f"{str(name)[:40]} ({type(value).__name__})" for name, value in content.items()]
    return list_some(entries, _SHOWN) or "nothing"


def misfit(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Say which tensors are missing, unexpected or of another shape; an empty text where all fit.

    >>> import torch
    >>> misfit({"stem": torch.zeros(2), "head": torch.zeros(1)}, {"stem": torch.zeros(3)})
    'unexpected: head; of another shape: stem (2,) instead of (3,)'
    """
    if _READS_NOTHING.get():
        return ""
    found = {
        "missing": [name for name in expected if name not in given and not name.endswith(_COUNTER)],
        "unexpected": [name for name in given if name not in expected and not name.endswith(_COUNTER)],
        "of another shape": [
            f"{name} {tuple(given[name].shape)} instead of {tuple(value.shape)}"
            for name, value in expected.items()
            if name in given and given[name].shape != value.shape
        ],
    }
    return "; ".join(f"{title}: {list_some(names, _SHOWN)}" for title, names in found.items() if names)


def file_provenance(path: Path) -> dict[str, str]:
    """Return what identifies a file of weights, as a generator states it in `provenance`: its name and SHA-256."""
    return {"weights": path.name} if _READS_NOTHING.get() else {"weights": path.name, "sha256": sha256_of_file(path)}


def hub_provenance(repository: str, files: Iterable[str], revision: str | None = None) -> dict[str, str]:
    """Return what identifies weights of the Hugging Face hub: repository, commit, and SHA-256 of the cached file.

    `files` are the names that may hold them in the repository, the likeliest first. Commit and hash are left out where
    none of them is in the hub's cache.
    """
    from huggingface_hub import try_to_load_from_cache

    for name in files:
        found = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(found, str):
            # The path of a cached file ends in snapshots/<commit>/<name>.
            return {"weights": repository, "commit": Path(found).parent.name, "sha256": sha256_of_file(Path(found))}
    return {"weights": repository}


def download_provenance(weights: str, url: str) -> dict[str, str]:
    """Return what identifies weights that torch has downloaded: their name, and the SHA-256 of the cached file.

    The hash is left out where the file is not in torch's cache.
    """
    import torch

    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    known = file_provenance(cached) if cached.is_file() else {}
    return {**known, "weights": weights}
