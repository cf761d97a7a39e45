"""Image and mask files of many formats, whole and damaged: what was stored, or one message that names the file."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
from PIL import Image
from trial import call, damage_bytes, require

from segbench.errors import SegbenchError
from segbench.images import Reading, read_image, read_mask, read_mask_colours

FULL, SHORT, SECONDS = 1000, 100, 120
CPU_SECONDS, MEMORY, LINES = 5.0, 1.5e9, 3
HEIGHT, WIDTH = 24, 36
TIFF = [{"compression": name} for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")]
FORMS = [
    *((mode, "png", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *(("P", "png", {"bits": bits}) for bits in (1, 2, 4)),
    *((mode, "bmp", {}) for mode in ("1", "L", "P", "RGB", "RGBA")),
    *((mode, "tif", more) for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "I;16", "F", "I", "CMYK") for more in TIFF),
    *((mode, "jpg", {}) for mode in ("L", "RGB", "CMYK")),
    *((mode, "webp", {"lossless": exact}) for mode in ("RGB", "RGBA") for exact in (True, False)),
    *(("P", "gif", {}), ("RGB", "ppm", {}), ("L", "tga", {}), ("RGB", "jp2", {}), ("RGB", "ico", {})),
]
# What these store is read as it is, or refused.
KEPT = {"L": ("png", "bmp", "tif"), "P": ("png", "bmp", "tif"), "RGB": ("png", "bmp", "tif"), "I;16": ("png", "tif")}


def attempt(folder: Path, rng) -> None:
    """Read one file as an image and as a mask, or a dataset that holds it."""
    root = folder / "data"
    names = [name for name in ("images", "masks") if (root / name).mkdir(parents=True) is None]
    mode, ending, more = rng.choice(FORMS)
    pixels = random_pixels(mode, more, rng)
    written = folder / f"x.{ending}"
    try:
        save(pixels, mode, written, more, rng)
    except (OSError, KeyError, ValueError, RuntimeError):  # Pillow has no such file
        return
    content = written.read_bytes()
    whole = rng.random() < 0.3
    path = folder / f"y.{rng.choice([ending, 'png', 'tif', 'bmp', 'jpg'])}"
    path.write_bytes(content if whole else damage_bytes(content, rng))
    said = f"{mode} {ending} {more}, {'whole' if whole else 'damaged'}, as {path.name}"
    found = {name: read(reader, path, said) for name, reader in readers(rng).items()}
    compression = more.get("compression")
    if whole and ending in KEPT.get(mode, ()) and compression != "jpeg" and found["mask"] is not None:
        require(np.array_equal(found["mask"], pixels), f"{said}: a mask is read as another")
    if rng.random() < 0.2:
        prepare_dataset(root, names, path, rng)


def random_pixels(mode: str, more: dict, rng) -> np.ndarray:
    """Return random pixels for a mode of Pillow."""
    random = np.random.default_rng(rng.randrange(2**32))
    size = (HEIGHT, WIDTH)
    if mode in ("F", "I", "I;16"):
        return random.integers(0, 2**16, size).astype({"F": np.float32, "I": np.int32, "I;16": np.uint16}[mode])
    if mode == "1":
        return random.integers(0, 2, size).astype(bool)
    channels = {"LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}.get(mode, ())
    return random.integers(0, 2 ** more.get("bits", 8), (*size, *channels)).astype(np.uint8)


def save(pixels: np.ndarray, mode: str, path: Path, more: dict, rng) -> None:
    """Write pixels, at times with an orientation tag or as pages."""
    image = Image.fromarray(pixels) if mode != "CMYK" else Image.frombytes("CMYK", (WIDTH, HEIGHT), pixels.tobytes())
    if mode == "P":
        image.putpalette([(value * 7) % 256 for value in range(768)])
    more = dict(more)
    if rng.random() < 0.1:
        exif = Image.Exif()
        exif[274] = rng.randrange(10)
        more["exif"] = exif
    if rng.random() < 0.1 and path.suffix in (".tif", ".gif", ".png", ".webp"):
        more |= {"save_all": True, "append_images": [image] * rng.choice([1, 2, 10])}
    image.save(path, **more)


def readers(rng) -> dict[str, object]:
    """Return the readers of files by what they read."""
    reading = Reading(rng.choice(["refuse", "apply", "stored"]), rng.choice([None, None, 12]))
    channels = rng.choice([1, 3, 4])
    return {
        "image": lambda path: read_image(path, channels, reading),
        "mask": lambda path: read_mask(path, Reading("stored")),
        "colours": lambda path: read_mask_colours(path, reading),
    }


def read(reader, path: Path, said: str) -> np.ndarray | None:
    """Return what a reader makes of a file, None where it refuses it by name; Fault for anything else."""
    start, held = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        found = reader(path)
    except SegbenchError as error:
        require(path.name in str(error) and len(str(error).splitlines()) <= LINES, f"{said}: {error}")
        found = None
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024
    require(time.process_time() - start <= CPU_SECONDS and grown <= MEMORY, f"{said}: {grown / 1e9:.1f} GB")
    return found


def prepare_dataset(root: Path, names: list[str], path: Path, rng) -> None:
    """Prepare a dataset of three pairs, one file of which is this one."""
    for stem in ("p", "q", "r"):
        Image.new("RGB", (WIDTH, HEIGHT), (10, 20, 30)).save(root / "images" / f"{stem}.png")
        mask = Image.new("L", (WIDTH, HEIGHT))
        mask.paste(1, (0, 0, 9, 9))
        mask.save(root / "masks" / f"{stem}.png")
    place = root / rng.choice(names)
    (place / "q.png").unlink()
    (place / f"q{path.suffix}").write_bytes(path.read_bytes())
    option = "classes=" + rng.choice(['["a","b"]', '["a","b","c"]', str([str(number) for number in range(256)])])
    answer = call(root.parent, "prepare", "data/folder", "--root", "data", "--option", option.replace("'", '"'))
    require(answer.code in (0, 2), answer)
