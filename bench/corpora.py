"""Makes the same images for all loaders: resized once, repeated under other keys, as a folder of files and as a corpus."""

import hashlib
import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tagmill.bench import measure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tagmill.shards.manifest import Named, ShardEntry
    from tagmill.shards.storage.store import Store

SHORT_SIDE, QUALITY = 256, 90  # of the stored images, as ingest stores them
INTERVAL: Final = "auto"  # between restart markers, as ingest chooses it
AS_IT_IS = 0  # a short side that leaves images unchanged, with their own bytes
CLASSES = 8  # folders among which the files are divided
SHARDS = 32  # at least one for every worker of a node with as many cores
VIEW = "default"
VERSION = "4"  # version of what is made here, including the corpus format


def shards(corpus: str, suffix: str) -> list[str]:
    """Returns a file of every shard of the corpus that `make_corpus` makes, at a path or a URL."""
    return [f"{corpus}/shards/{number:06d}{suffix}" for number in range(SHARDS)]


def digest(pictures: list[Path], samples: int, short_side: int = SHORT_SIDE, markers: bool = False) -> str:
    """Returns a name for what is made of some images, by their bytes."""
    kind = f"{VERSION} {samples} {short_side} {QUALITY}" + (f" {INTERVAL}" if markers else "")
    whole = hashlib.sha256(kind.encode())
    for path in pictures:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:12]


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Makes `folder` atomically: `make` fills a folder beside it, which is then renamed."""
    if not folder.exists():
        print(f"making {folder.name}", file=sys.stderr)
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        make(unfinished)
        unfinished.rename(folder)
    return folder


def prepare(pictures: list[Path], samples: int, short_side: int = SHORT_SIDE, markers: bool = False) -> Path:
    """Makes build/bench/loader/<digest>/ with `images` (CLASSES folders of files, as torchvision's ImageFolder
    requires) and `corpus` (a tagmill corpus, whose tars and indexes webdataset and DALI read). Resized images have
    restart markers if `markers` is set."""
    folder = measure.ROOT / "build" / "bench" / "loader" / digest(pictures, samples, short_side, markers)
    images = once(folder / "images", lambda place: make_images(pictures, samples, place, short_side, markers))
    once(folder / "corpus", lambda place: make_corpus(images, place))
    return folder


def labelled(folder: Path, classes: int, labels: int) -> Path:
    """Makes another corpus of the images of `prepare`, with `labels` of `classes` on each."""
    place = folder / f"corpus-{classes}-{labels}"
    return once(place, lambda made: make_corpus(folder / "images", made, classes, labels))


def make_images(
    pictures: list[Path], samples: int, folder: Path, short_side: int = SHORT_SIDE, markers: bool = False
) -> None:
    stored = [resized(path, short_side, markers) if short_side else path.read_bytes() for path in pictures]
    for name in range(CLASSES):
        (folder / f"class-{name}").mkdir(parents=True)
    for number in range(samples):
        path = folder / f"class-{number % CLASSES}" / f"{number:06d}.jpg"
        path.write_bytes(stored[number % len(stored)])


def restart_interval(size: tuple[int, int]) -> int:
    """Returns the MCUs between restart markers of a stored image of (width, height) pixels."""
    from tagmill.ingest.images.restart_markers import interval_of

    return interval_of(INTERVAL, size)


def resized(path: Path, short_side: int = SHORT_SIDE, markers: bool = False) -> bytes:
    """Returns a JPEG with this short side, with restart markers if `markers` is set."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(path) as image:
        short = min(image.size)
        target = (round(image.width * short_side / short), round(image.height * short_side / short))
        interval = restart_interval(target) if markers else 0
        small = image.convert("RGB").resize(target, Image.Resampling.BOX)
        small.save(file, "JPEG", quality=QUALITY, restart_marker_blocks=interval)
    return file.getvalue()


def make_corpus(images: Path, folder: Path, classes: int = CLASSES, labels: int = 1) -> None:
    """Writes a corpus of the images in SHARDS shards, with a view in which every sample has `labels` of `classes`."""
    from PIL import Image

    from tagmill.shards.formats.record import Record, sha256_hex
    from tagmill.shards.manifest import CorpusFile, commit, put_manifest
    from tagmill.shards.storage.store import Store
    from tagmill.shards.writer import ShardWriter, publish

    store, entries = Store(str(folder)), []
    paths = sorted(images.rglob("*.jpg"), key=lambda path: path.name)
    spool = folder / "spool"
    for shard in range(SHARDS):
        name = f"{shard:06d}"
        with ShardWriter(name, "train", spool) as writer:
            for path in paths[shard::SHARDS]:
                with Image.open(path) as image:
                    width, height = image.size
                sha256 = sha256_hex(path.name.encode())  # of the name: repeated images have keys of their own
                writer.add(Record(sha256, (0, 0, 0, 0), width, height, width, height, ()), path.read_bytes())
            entries.append(writer.finish())
        publish(store, spool, name)
    shutil.rmtree(spool)
    manifest = put_manifest(store, entries)
    totals = {"shards": SHARDS, "samples": len(paths)}
    commit(
        store,
        CorpusFile("bench", manifest, totals, views={VIEW: put_labels(store, entries, manifest, classes, labels)}),
    )


def put_labels(
    store: "Store", entries: "list[ShardEntry]", manifest: "Named", classes: int = CLASSES, labels: int = 1
) -> "Named":
    import numpy as np

    from tagmill.shards.reader import whole_index
    from tagmill.shards.view import ONE, put_shard_labels, put_view, recipe_folder
    from tagmill.shards.vocabulary import Label, Vocabulary

    recipe, shards = {"classes": classes} | ({"labels": labels} if labels > 1 else {}), []
    for entry in entries:
        own = np.sort((np.arange(entry.samples)[:, None] + np.arange(labels)) % classes, axis=1)
        rows = np.pad(own, ((0, 0), (0, 1)), constant_values=-1).astype(np.int32)
        repeats = np.full(entry.samples, ONE, np.int64)
        index = whole_index(store, entry)
        shards.append(put_shard_labels(store, recipe_folder(VIEW, recipe), entry, rows, repeats, index))
    words = Vocabulary(
        tuple(Label(each, f"class {each}", (f"n{each:08d}",), (f"class {each}",)) for each in range(classes))
    )
    return put_view(store, VIEW, recipe, manifest, words, shards, max_labels=rows.shape[1], seed=0)


def in_memory(corpus: str) -> tuple[list[bytes], "npt.NDArray[np.int32]", "npt.NDArray[np.int32]"]:
    """Reads every image of a corpus, with widths and heights."""
    import numpy as np

    from tagmill.shards.manifest import Corpus
    from tagmill.shards.reader import ShardReader

    opened, jpegs, sizes = Corpus.open(corpus), list[bytes](), list[tuple[int, int]]()
    for entry in opened.entries:
        reader = ShardReader.of(opened, entry)
        index = reader.index(0, entry.samples)
        jpegs += [jpeg for jpeg in reader.pictures(index) if isinstance(jpeg, bytes)]
        sizes += list(zip(index["width"].tolist(), index["height"].tolist(), strict=True))
    width, height = np.array(sizes, np.int32).T
    return jpegs, width, height
