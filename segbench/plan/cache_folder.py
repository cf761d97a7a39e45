"""Where segbench keeps what it can always make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the absolute path of the cache folder: $SEGBENCH_CACHE, else the platform's cache folder of the user.

    The folder need not exist yet.
    """
    chosen = os.environ.get("SEGBENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("segbench")
