"""Where a pretrained network comes from: a local folder, or a repository of the hub that is fetched into one."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from huggingface_hub import snapshot_download
from pydantic_core import from_json

from segbench import WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

# No code and nothing that is unpickled is ever fetched.
FETCHED = ("config.json", "preprocessor_config.json", "processor_config.json", "model*.safetensors*")

REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")


class Statistics(NamedTuple):
    """What images in [0, 1] are converted by before a network sees them; `reversed_channels` makes BGR of RGB."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    reversed_channels: bool = False


IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
AS_THEY_ARE = Statistics((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Source(NamedTuple):
    """A folder that `from_pretrained` takes, and what identifies it in a record."""

    folder: Path
    provenance: dict[str, str]


def find_source(model: str, revision: str) -> Source:
    """Return the folder of a pretrained network; a repository of the hub is fetched into the hub's cache.

    Raises WeightsError if it cannot be had, or has no configuration or no .safetensors file.
    """
    if is_path(model):
        folder = Path(model).expanduser().absolute()
        if not folder.is_dir():
            raise WeightsError(
                f"model: there is no folder {folder}; give the folder that save_pretrained wrote, with config.json and "
                "model.safetensors"
            )
        return Source(folder, {"weights": folder.name, **_file_hash(folder)})
    folder = _fetched(model, revision)
    # A snapshot lies in snapshots/<commit>/.
    return Source(folder, {"weights": model, "commit": folder.name, **_file_hash(folder)})


def is_path(model: str) -> bool:
    """Tell whether a model is written as a path, which no name on the hub looks like.

    >>> is_path("./segformer"), is_path("/models/segformer"), is_path("nvidia/mit-b0")
    (True, True, False)
    """
    return model.startswith((".", "~", "/", "\\")) or not REPOSITORY.fullmatch(model)


def read_statistics(folder: Path) -> Statistics:
    """Return what the image processor of a folder converts images by, ImageNet's where the folder has none.

    Raises WeightsError for a file that cannot be read.
    """
    processor = _image_processor(folder)
    if processor is None:
        return IMAGENET
    reversed_channels = bool(processor.get("do_flip_channel_order", False))
    mean, std = processor.get("image_mean"), processor.get("image_std")
    if not processor.get("do_normalize", mean is not None) or mean is None or std is None:
        return AS_THEY_ARE._replace(reversed_channels=reversed_channels)
    return Statistics(tuple(mean), tuple(std), reversed_channels)


def _fetched(model: str, revision: str) -> Path:
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(FETCHED)))
    except Exception as error:  # the network, the hub and the cache each fail in their own way
        raise WeightsError(
            f"model: {model!r} at revision {revision!r} could not be fetched from the Hugging Face hub "
            f"({type(error).__name__}: {error}); give a local folder as a path (./folder), or the name of a repository "
            "that is in the hub's cache already"
        ) from error


def _file_hash(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the weights; of several files, that of all their bytes in the order of their names."""
    files = _weight_files(folder)
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return {"sha256": digest.hexdigest()}


def _weight_files(folder: Path) -> Sequence[Path]:
    files = sorted(folder.glob("model*.safetensors"))
    if not files or not (folder / "config.json").is_file():
        raise WeightsError(
            f"model: {folder} has no {'model.safetensors' if not files else 'config.json'}; weights of another format "
            "must be converted first, as save_pretrained of transformers does, because reading them may run code"
        )
    return files


def _image_processor(folder: Path) -> dict[str, object] | None:
    joint = _json(folder / "processor_config.json") or {}
    return joint.get("image_processor") or _json(folder / "preprocessor_config.json")


def _json(file: Path) -> dict | None:
    if not file.is_file():
        return None
    try:
        content = from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"model: {file} cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise WeightsError(f"model: {file} holds no mapping")
    return content
