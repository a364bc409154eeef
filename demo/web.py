"""Makes the demo web: images, the list of rows, the held-out evaluation set, and the table of what was planted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.demo.concepts import CONCEPTS
from tagmill.demo.draw import draw
from tagmill.demo.encode import ENCODERS, apology, jpeg, near_copy, truncated
from tagmill.demo.made_folder import cleared, finished, put_json, replaced
from tagmill.demo.plant import (
    BROKEN,
    ENCODING_STREAM,
    EVALUATION_STREAM,
    PICTURE_STREAM,
    Evaluation,
    Row,
    evaluation_set,
    generator,
    plan,
)
from tagmill.shards.progress.protocol import Progress, Silent

VERSION = 1
"""Version of the drawings and the plan: a folder made by another version is made again."""

CHUNK = 25
"""Images per task of a worker process: about half a second."""

STAMP = "demo-web.json"
_OURS = ("pictures", "evaluation", "rows.parquet", "truth.parquet", "truth.json", "requests.json", STAMP)
_WITHOUT_FILE = ("same_url", "broken_404")

_Task = tuple[Row | Evaluation, str]
"""An image to make, and the file that it copies, if any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSummary:
    """The content of a demo web."""

    folder: Path
    seed: int
    rows: int
    evaluation: int
    kinds: dict[str, int]
    """Rows per kind: `picture`, the copies, the leaks and every broken kind."""
    formats: dict[str, int]
    """Rows per format among those of kind `picture`."""
    concepts: dict[str, int]
    """Rows per concept name."""
    made: bool
    """False if the folder already contained this very web."""


def make_web(
    folder: Path | str,
    *,
    seed: int = 20180802,
    rows: int = 3000,
    evaluation: int = 300,
    zipf: float | None = None,
    processes: int = 2,
    progress: Progress | None = None,
) -> WebSummary:
    """Makes the web in a folder, or finds it there; returns its summary.

    The bytes depend on the seed, the two counts, `zipf` (as in `plan`) and Pillow, never on `processes`; with more than
    one, scripts need the usual `if __name__ == "__main__"` guard. `progress` counts images. Raises ConfigError for invalid
    numbers, or for a folder with foreign files.
    """
    folder = Path(folder)
    planned = plan(seed, rows, evaluation, zipf)
    stamp: dict[str, float] = {"version": VERSION, "seed": seed, "rows": rows, "evaluation": evaluation}
    if zipf is not None:
        stamp["zipf"] = zipf
    made = not finished(folder / STAMP, stamp)
    if made:
        cleared(folder, STAMP, stamp, _OURS)
        _write_pictures(folder, seed, planned, evaluation_set(evaluation), processes, progress or Silent())
        _write_truth(folder, planned, stamp)
        put_json(folder / STAMP, {**stamp, "finished": True})
    return WebSummary(folder=folder, seed=seed, rows=rows, evaluation=evaluation, **_totals(planned), made=made)


def write_rows(folder: Path | str, base_url: str) -> Path:
    """Writes `rows.parquet`, the list that a user of the web would bring, for a server at a base URL; returns its path.

    Columns: url (string), tags (list of string), licence (string), page (string).
    """
    folder = Path(folder)
    base = base_url.rstrip("/")
    truth = pq.read_table(folder / "truth.parquet", columns=["path", "tags", "licence", "page"]).to_pydict()
    table = pa.table(
        {
            "url": pa.array([base + path for path in truth["path"]], pa.string()),
            "tags": pa.array(truth["tags"], pa.list_(pa.string())),
            "licence": pa.array(truth["licence"], pa.string()),
            "page": pa.array([base + page for page in truth["page"]], pa.string()),
        }
    )
    path = folder / "rows.parquet"
    replaced(path, lambda part: pq.write_table(table, part))
    return path


def _write_pictures(
    folder: Path, seed: int, rows: list[Row], held_out: list[Evaluation], processes: int, progress: Progress
) -> None:
    """Draws originals first, then the rows that repeat them."""
    (folder / "pictures").mkdir(exist_ok=True)
    for picture in held_out:
        (folder / picture.file).parent.mkdir(parents=True, exist_ok=True)
    served = [row for row in rows if row.kind not in _WITHOUT_FILE]
    own: list[_Task] = [(row, "") for row in served if not row.of] + [(picture, "") for picture in held_out]
    copies: list[_Task] = [(row, _source(rows, row)) for row in served if row.of]
    progress.stage("draw", len(own) + len(copies))
    for stage in (own, copies):
        for count in _made(folder, seed, stage, processes):
            progress.advance(count)


def _made(folder: Path, seed: int, tasks: list[_Task], processes: int) -> Iterator[int]:
    """Makes the files of a stage, in this process or in several, and yields how many each chunk made."""
    chunks = [tasks[first : first + CHUNK] for first in range(0, len(tasks), CHUNK)]
    if processes <= 1:
        for chunk in chunks:
            yield _make_chunk(folder, seed, chunk)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_make_chunk, folder, seed, chunk) for chunk in chunks]):
            yield future.result()


def _make_chunk(folder: Path, seed: int, chunk: list[_Task]) -> int:
    for item, source in chunk:
        if isinstance(item, Evaluation):
            rng = generator(seed, item.number, EVALUATION_STREAM)
            content, path = jpeg(draw(rng, item.concept), rng), folder / item.file
        else:
            content, path = _content(folder, seed, item, source), folder / "pictures" / item.file
        path.write_bytes(content)
    return len(chunk)


def _content(folder: Path, seed: int, row: Row, source: str) -> bytes:
    """Returns the bytes on the server for a row; if only the *answer* is broken they are a sound image."""
    encoding = generator(seed, row.row, ENCODING_STREAM)
    if row.kind == "broken_html":
        return apology()
    if row.kind == "broken_empty":
        return b""
    if source:
        original = (folder / source).read_bytes()
        return near_copy(original, encoding) if row.kind in ("near_copy", "leak_near") else original
    content = ENCODERS[row.format](draw(generator(seed, row.row, PICTURE_STREAM), row.concept), encoding)
    return truncated(content, encoding) if row.kind == "broken_truncated" else content


def _source(rows: list[Row], row: Row) -> str:
    """Returns the file, below the folder, that a row copies."""
    return row.of if row.of.startswith("evaluation/") else f"pictures/{rows[int(row.of)].file}"


def _totals(rows: list[Row]) -> dict[str, dict[str, int]]:
    concepts = Counter(row.concept for row in rows)
    return {
        "kinds": dict(sorted(Counter(row.kind for row in rows).items())),
        "formats": dict(sorted(Counter(row.format for row in rows if row.kind == "picture").items())),
        "concepts": {concept.name: concepts[concept.name] for concept in CONCEPTS},
    }


def _write_truth(folder: Path, rows: list[Row], stamp: dict[str, float]) -> None:
    columns = [
        ("row", pa.int64()), ("path", pa.string()), ("file", pa.string()), ("concept", pa.string()),
        ("synset", pa.string()), ("kind", pa.string()), ("format", pa.string()), ("of", pa.string()),
        ("tags", pa.list_(pa.string())), ("licence", pa.string()), ("page", pa.string()),
    ]  # fmt: skip
    table = pa.table({name: pa.array([getattr(row, name) for row in rows], kind) for name, kind in columns})
    replaced(folder / "truth.parquet", lambda part: pq.write_table(table, part))
    synsets = {concept.name: concept.synset for concept in CONCEPTS}
    put_json(folder / "truth.json", {**stamp, **_totals(rows), "synsets": synsets, "broken": BROKEN})
