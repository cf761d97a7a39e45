"""The plugin my-data: what segbench reads when it starts, so nothing heavy is imported here."""

from segbench import Component, hookimpl


def build():
    """Open the dataset: the files that lie in this package."""
    from .dataset import open_dataset

    return open_dataset()


@hookimpl
def segbench_datasets():
    """Yield my-data."""
    yield Component("my-data", build, "Red and blue discs on a noisy ground")
