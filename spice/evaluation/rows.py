"""The rows of a benchmark: from the hub, from a folder with copies of hub repositories, or from a store of copies.

The store of copies is a store of its own, with credentials of its own
(`SPICE_BENCHMARKS_S3_*`): whoever trains is not given them, so benchmarks lie
where training cannot read them. Copies are immutable and named by their digest.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spice.config import StoreConfig
from spice.errors import ConfigError, CorpusError, IntegrityError, NotFoundError
from spice.evaluation.benchmarks import Benchmark
from spice.store import artifacts, open_store
from spice.store.base import ObjectStore
from spice.store.canonical import JSON
from spice.store.refs import LATEST

Row = Mapping[str, Any]
PREFIX = "benchmarks"
_FILE = "rows.parquet"
_OURS, _THEIRS = "SPICE_S3_", "SPICE_BENCHMARKS_S3_"
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def open_copies(url: str, training: StoreConfig, environ: Mapping[str, str] = os.environ) -> ObjectStore:
    """The store that holds copies of benchmarks.

    Args:
        url: a folder or s3://bucket/prefix; the S3 service is the one of `training`.
        training: the store that training reads and writes.
        environ: credentials stand in `SPICE_BENCHMARKS_S3_ACCESS_KEY`, `..._SECRET_KEY` and `..._SESSION_TOKEN`; those
            of the other store are never tried.

    Raises:
        ConfigError: credentials are missing, or the place is one that training can read.
    """
    ours, theirs = _place(training.url), _place(url)
    if theirs.startswith(ours) or ours.startswith(theirs):
        raise ConfigError(
            f"evaluation.benchmark_store is {url!r}, which training can read, as store.url is {training.url!r}. "
            "Name another folder or bucket."
        )
    own = {name: value for name, value in environ.items() if name not in _CREDENTIALS and not name.startswith(_OURS)}
    own |= {name.replace(_THEIRS, _OURS): value for name, value in environ.items() if name.startswith(_THEIRS)}
    if "://" in url and not url.startswith("file:") and not own.get(f"{_OURS}ACCESS_KEY"):
        raise ConfigError(
            f"evaluation.benchmark_store is {url!r}, and {_THEIRS}ACCESS_KEY is not set. Benchmarks have credentials "
            "of their own, which only evaluation is given."
        )
    return open_store(training.model_copy(update={"url": url}), own)


def fetch(benchmark: Benchmark, copies: ObjectStore, mirror: Path | None = None) -> str:
    """Copy a benchmark from the hub, or from a folder of copies, into `copies`; returns the copy's reference.

    Raises:
        ConfigError: it cannot be had, see `from_hub`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = from_hub(benchmark, mirror)
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), data)
    fields: dict[str, JSON] = {
        "kind": "benchmark",
        "name": benchmark.name,
        "hub_id": benchmark.hub_id,
        "config": benchmark.config,
        "split": benchmark.split,
        "revision": benchmark.revision,
        "licence": benchmark.licence,
        "rows": len(rows),
    }
    prefix = f"{PREFIX}/{benchmark.name}"
    ref = artifacts.write(copies, prefix, {_FILE: data.getvalue()}, fields)
    artifacts.tag(copies, prefix, LATEST, ref.rpartition("/")[2])
    return ref


def from_copies(benchmark: Benchmark, copies: ObjectStore) -> list[Row]:
    """The rows of the latest copy.

    Raises:
        ConfigError: there is none.
        IntegrityError: it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        ref = artifacts.resolve(copies, f"{PREFIX}/{benchmark.name}@{LATEST}")
        data = artifacts.read(copies, ref, _FILE)
    except NotFoundError as error:
        raise ConfigError(
            f"evaluation.benchmarks: there is no copy of {benchmark.name} in {copies.url}. Make one where the hub can "
            f"be reached: spice suites fetch {benchmark.name} --to {copies.url}"
        ) from error
    try:
        rows: list[Row] = pq.read_table(io.BytesIO(data), use_threads=False).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(f"{ref}/{_FILE} in {copies.url} is not readable; fetch {benchmark.name} again.") from error
    _require_columns(benchmark, list(rows[0]) if rows else [], f"{ref} in {copies.url}")
    return rows


def from_hub(benchmark: Benchmark, mirror: Path | None = None) -> list[Row]:
    """The rows from the Hugging Face hub, or from `mirror`/<owner>/<name>, a copy of the repository there.

    No code of the repository is run.

    Raises:
        ConfigError: `datasets` is not installed, neither place can be reached, or a column is missing.
    """
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            f"the benchmark {benchmark.name} needs the package datasets: pip install 'spice-platform[hub]'"
        ) from error
    datasets.disable_progress_bars()
    where = benchmark.hub_id if mirror is None else str(mirror / benchmark.hub_id)
    if mirror is not None and not Path(where).is_dir():
        raise ConfigError(f"{mirror} holds no folder {benchmark.hub_id}, where a copy of that repository should lie")
    revision = benchmark.revision if mirror is None else None
    try:
        # A cache of its own: the library's is found by name, and would give rows of another state of a local copy.
        with tempfile.TemporaryDirectory(prefix="spice-benchmark-") as cache:
            table = datasets.load_dataset(
                where, benchmark.config, split=benchmark.split, revision=revision, cache_dir=cache
            )
            _require_columns(benchmark, table.column_names, where)
            rows: list[Row] = list(table.select_columns(list(benchmark.columns.names)))
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        terms = " Its terms must be accepted on its page first, and HF_TOKEN set." if benchmark.gated else ""
        raise ConfigError(
            f"the benchmark {benchmark.name} ({where}, split {benchmark.split}) cannot be loaded: "
            f"{type(error).__name__}: {_first_line(error)}.{terms} Without the hub, name a store of copies in "
            "evaluation.benchmark_store, or leave the benchmark out of evaluation.benchmarks."
        ) from error
    return rows


def _require_columns(benchmark: Benchmark, found: Sequence[str], where: str) -> None:
    missing = [name for name in benchmark.columns.names if name not in found]
    if missing:
        raise CorpusError(
            f"{where} has no column {', '.join(missing)}, but {', '.join(found) or 'none'}: it is not the data set "
            f"that {benchmark.name} was described from. Take {benchmark.hub_id} at revision {benchmark.revision}."
        )


def _place(url: str) -> str:
    """A folder or address that ends in a slash, so that what lies in it begins with it."""
    path = url.removeprefix("file://")
    return f"{url if '://' in path else Path(path).resolve()}".rstrip("/") + "/"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
