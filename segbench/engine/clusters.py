"""The groups of images that are alike, by what a dataset says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.contracts import Dataset


def clusters_of(dataset: Dataset, ids: Sequence[str], name: str) -> tuple[str, ...] | None:
    """Return the group of each image by its id; None if the dataset, which messages call `name`, tells of none.

    Raises DataError where its `cluster` returns something else than the name of a group.
    """
    if dataset.cluster is None:
        return None
    clusters = tuple(dataset.cluster(one) for one in ids)
    for one, cluster in zip(ids, clusters, strict=True):
        if not isinstance(cluster, str) or not cluster:
            raise DataError(
                f"dataset {name!r}: its cluster function returned {cluster!r} for the image {one!r}; it must return "
                "the name of a group, a text that is not empty. Mend it in the dataset's plugin, or give cluster=None"
            )
    return clusters
