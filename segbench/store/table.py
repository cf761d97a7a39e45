"""Tables as parquet files: sealed ones that are read at once, and large ones that are read a row group at a time."""

from __future__ import annotations

import threading
from bisect import bisect_right
from io import BytesIO
from itertools import accumulate
from typing import TYPE_CHECKING

from segbench.checksum import UNSEALED, check_sealed, seal
from segbench.files import check_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa


_SMALL = 2**17  # bytes of a table


def to_parquet(table: pa.Table) -> bytes:
    """Return a table as the content of a sealed parquet file."""
    from pyarrow import parquet

    # zstd makes large tables smaller, and takes longer to begin than small ones take to be read
    compression = "zstd" if table.nbytes > _SMALL else "lz4"
    file = BytesIO()
    sealed = table.replace_schema_metadata({"seal": UNSEALED})
    parquet.write_table(sealed, file, compression=compression, use_dictionary=False)
    seal(file)
    return file.getvalue()


def from_parquet(content: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Return some columns of a sealed parquet file, or all; ValueError if it has changed since, or is none."""
    import pyarrow as pa
    from pyarrow import parquet

    check_sealed(BytesIO(content))
    # parquet.read_table would import pandas, which takes longer than some hundred files
    return parquet.ParquetFile(pa.BufferReader(content)).read(columns, use_threads=False)


class RowGroups:
    """A parquet file of which one row group is in memory at a time, for each choice of columns that is read.

    It stays readable when its name is removed. Raises OSError or ArrowException for what is no such file.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        check_file(path)
        # no memory map: where another machine removes the file, reading one kills the process
        self._file = parquet.ParquetFile(pa.OSFile(str(path)))
        found = self._file.metadata
        rows = (found.row_group(group).num_rows for group in range(found.num_row_groups))
        self._starts = list(accumulate(rows, initial=0))
        self._kept: dict[tuple[str, ...] | None, tuple[int, pa.Table]] = {}
        self._lock = threading.Lock()

    @property
    def schema(self) -> pa.Schema:
        """The columns of the file, and what it says of itself."""
        return self._file.schema_arrow

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return some columns of all rows."""
        return self._file.read(list(columns), use_threads=False)

    def rows(self, start: int, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return some columns, or all, of rows that lie in one row group; of columns that are not there, none."""
        group = bisect_right(self._starts, start) - 1
        return self._group(group, columns).slice(start - self._starts[group], number)

    def _group(self, group: int, columns: Sequence[str] | None) -> pa.Table:
        chosen = None if columns is None else tuple(columns)
        with self._lock:
            kept = self._kept.get(chosen)
            if kept is None or kept[0] != group:
                kept = group, self._file.read_row_group(group, columns, use_threads=False)
                self._kept[chosen] = kept
        return kept[1]
