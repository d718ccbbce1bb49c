"""Read a file of faces of any kind: CSV, .npz or parquet."""

import os
from collections.abc import Iterator

from fer_jax.data.arrays import is_npz, read_npz
from fer_jax.data.cache import cached_read_csv
from fer_jax.data.meaning import check_one_kind
from fer_jax.data.parquet import is_parquet, read_parquet, read_parquet_chunks
from fer_jax.data.read_csv import read_csv_chunks
from fer_jax.data.tables import Table
from fer_jax.runtime.progress import announced

_AT_ONCE = 256


def read_table(
    path: str | os.PathLike, *, require_labels: bool, cache: bool = False, skip_broken: bool = False
) -> Table:
    """Read all faces of a file, or of a folder of parquet files.

    Args:
      path: see ``read_csv``, ``read_npz`` and ``read_parquet``.
      require_labels: whether a file without labels is an error.
      cache: whether a parsed CSV file is kept for the next time (see ``cached_read_csv``).
      skip_broken: whether pictures that cannot be read are left out instead of refused.

    Raises UserError if it cannot be read.
    """
    if is_npz(path):
        return read_npz(path, require_labels=require_labels)
    if is_parquet(path):
        with announced(f"reading the pictures of {path}"):
            return read_parquet(path, require_labels=require_labels, skip_broken=skip_broken)
    return cached_read_csv(path, require_labels=require_labels, cache=cache, skip_broken=skip_broken)


def read_table_chunks(path: str | os.PathLike, *, skip: int = 0, rows_skipped: int = 0) -> Iterator[Table]:
    """Read the faces of a file, some hundred at a time, with labels if it has some.

    Args:
      path: as for ``read_table``, except that it is one file. A CSV file may be a pipe.
      skip: number of tables to pass over.
      rows_skipped: how many rows those have.

    Raises UserError if it cannot be read.
    """
    if is_npz(path):
        table = read_npz(path, require_labels=False)
        for start in range(skip * _AT_ONCE, len(table.faces), _AT_ONCE):
            yield table.take(slice(start, start + _AT_ONCE))
        return
    if is_parquet(path):
        chunks = read_parquet_chunks(path, require_labels=False, skip=skip)
    else:
        chunks = read_csv_chunks(path, require_labels=False, skip=skip, rows_skipped=rows_skipped)
    for table in chunks:
        check_one_kind(str(path), table)
        yield table
