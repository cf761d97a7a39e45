"""The dataset: say here what your classes are and where the files lie. Never import torch."""

from pathlib import Path

from segbench import DataError, Dataset, Sample
from segbench.images import read_image, read_mask

FOLDER = Path(__file__).parent
IGNORE_INDEX = 255


def open_dataset() -> Dataset:
    """Return the dataset; nothing is decoded before a sample is asked for."""
    return Dataset(
        classes=["ground", "red disc", "blue disc"],
        palette=[(0, 0, 0), (220, 40, 40), (40, 220, 220)],
        splits={name: PairedFiles(name) for name in ("train", "val", "test")},
        ignore_index=IGNORE_INDEX,
        licence="CC0 1.0",
        citation="Drawn for the template of segbench.",
    )


class PairedFiles:
    """images/SPLIT/ID.png with masks/SPLIT/ID.png, which holds a class id a pixel.

    segbench asks for the length and for samples; from `ids` and `files` it can tell, without
    decoding anything, whether the data has changed.
    """

    def __init__(self, split: str):
        images = sorted((FOLDER / "images" / split).glob("*.png"))
        self.ids = [image.stem for image in images]
        self.files = [(image, FOLDER / "masks" / split / image.name) for image in images]

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        image, mask = self.files[index]
        if not mask.is_file():
            raise DataError(f"{image} has no mask {mask}; add it, or remove the image")
        return Sample(read_image(image, 3), read_mask(mask), self.ids[index])
