"""Makes small corpora for the tests of the loader, with the values that the tests compare."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import Corpus, CorpusFile, ShardEntry, commit, put_manifest
from tagmill.shards.reader import whole_index
from tagmill.shards.storage.store import Store
from tagmill.shards.view import ONE, put_shard_labels, put_view, recipe_folder
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.shards.writer import ShardWriter, publish

NUM_LABELS = 7
VIEW_SEED = 5


@dataclass(frozen=True)
class Made:
    """A corpus with the values written. Samples are numbered through all shards in corpus order, held-out ones last."""

    url: str
    entries: list[ShardEntry]
    keys: list[bytes]  # 16 bytes each
    jpegs: list[bytes]
    sizes: list[tuple[int, int]]  # width, height
    labels: npt.NDArray[np.int32]  # [samples, K], -1 padded
    repeats: npt.NDArray[np.int64]  # [samples], units of 2^-16

    def open(self) -> Corpus:
        return Corpus.open(self.url)

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The number of each shard's first sample, then the number of all samples."""
        return np.cumsum([0, *(entry.samples for entry in self.entries)])

    def file(self, shard: int, suffix: str) -> Path:
        """Returns the path of a file of a shard, for example with suffix '.tar'."""
        return Path(self.url) / "shards" / f"{self.entries[shard].name}{suffix}"

    def view_file(self, name: str) -> Path:
        """Returns the path of a file of the default view, for example '000000.labels.npy'."""
        return Path(self.url) / Path(self.open().file.views["default"].path).parent / name

    def copies(self, epoch: int, split: str = "train") -> npt.NDArray[np.int64]:
        """Returns how often each sample of a split must occur in an epoch, sample by sample, by the definition."""
        first = hashlib.sha256(VIEW_SEED.to_bytes(8, "little", signed=True)).digest()[:2]
        u, running = (int.from_bytes(first, "big") + 40503 * epoch) % ONE, 0
        splits = np.repeat([entry.split for entry in self.entries], [entry.samples for entry in self.entries])
        found = np.zeros(len(self.keys), np.int64)
        for number, repeat in enumerate(self.repeats.tolist()):
            whole, fraction = divmod(repeat, ONE)
            extra = (running + fraction + u) // ONE > (running + u) // ONE
            found[number] = (whole + extra) * (splits[number] == split)
            running += fraction
        return found

    def number_of(self, key: bytes) -> int:
        """Returns the number of the sample with a key."""
        return self.keys.index(key)


def picture(number: int, width: int = 40, height: int = 32, *, quality: int = 90, subsampling: int = 2) -> bytes:
    """Returns a JPEG similar to a photograph: smooth colours, some waves, some grain; 4:2:0 by default."""
    draw = np.random.default_rng(number)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for base in draw.uniform(60, 200, 3):
        angle, wave = draw.uniform(0, np.pi), draw.uniform(8, 40)
        slope = draw.uniform(-60, 60) * x / width + draw.uniform(-60, 60) * y / height
        stripes = draw.uniform(5, 30) * np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / wave)
        planes.append(base + slope + stripes)
    pixels = np.stack(planes, -1) + draw.normal(0, 4, (height, width, 1))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def make_corpus(
    folder: Path,
    shard_sizes: Sequence[int],
    *,
    repeats: Sequence[int] | npt.NDArray[np.int64] | None = None,
    max_labels: int = 3,
    holdout: Sequence[int] = (),
    replace: Mapping[int, bytes] | None = None,
    picture_size: tuple[int, int] = (40, 32),
    seed: int = 0,
    facts: bool = True,
    labelled: bool = True,
    order: Sequence[int] | None = None,
) -> Made:
    """Writes a corpus with a `default` view into `folder`.

    `repeats` are those of the train samples (units of 2^-16, all 1 by default); held-out samples have 1. `replace`
    replaces the images of some samples, by number, with other bytes: stored with their right crc32, they only fail to
    decode. Without `facts` the view has none, as those of earlier versions. Without `labelled` no sample has a label.
    `order` are the numbers in the names of the vocabulary's labels, 0, 1, ... by default.
    """
    draw, store = np.random.default_rng(seed), Store(str(folder))
    total, train = sum(shard_sizes) + sum(holdout), sum(shard_sizes)
    shares = np.full(total, ONE, np.int64)
    if repeats is not None:
        shares[:train] = repeats
    labels = np.full((total, max_labels), -1, np.int32)
    for row in range(total):
        chosen = draw.choice(NUM_LABELS, int(draw.integers(1, max_labels + 1)), replace=False)
        labels[row, : len(chosen)] = np.sort(chosen)
    labels[:] = labels if labelled else -1
    replaced = replace or {}
    jpegs, keys, sizes, entries = [], [], [], []
    number = 0
    for place, size in enumerate([*shard_sizes, *holdout]):
        held = place >= len(shard_sizes)
        name = f"holdout-{place - len(shard_sizes):06d}" if held else f"{place:06d}"
        with ShardWriter(name, "holdout" if held else "train", folder / "spool") as writer:
            for _ in range(size):
                width, height = picture_size[0] + number % 3, picture_size[1] + number % 5
                jpeg = replaced[number] if number in replaced else picture(number, width, height)
                record = _record(f"{seed}/{number}", width, height)
                writer.add(record, jpeg)
                jpegs.append(jpeg)
                keys.append(bytes.fromhex(record.key))
                sizes.append((width, height))
                number += 1
            entries.append(writer.finish())
        publish(store, folder / "spool", name)
    names = range(NUM_LABELS) if order is None else order
    _commit(store, entries, labels, shares, names, max_labels, facts)
    return Made(str(folder), entries, keys, jpegs, sizes, labels, shares)


def _record(source: str, width: int, height: int) -> Record:
    digest = hashlib.sha256(source.encode()).hexdigest()
    return Record(digest, (0, 0, 0, 0), width, height, width, height, ("tag",))


def _commit(
    store: Store,
    entries: list[ShardEntry],
    labels: npt.NDArray[np.int32],
    repeats: npt.NDArray[np.int64],
    names: Sequence[int],
    max_labels: int,
    facts: bool,
) -> None:
    manifest = put_manifest(store, entries)
    recipe = {"test": manifest.sha256, "labels": hashlib.sha256(labels.tobytes() + repeats.tobytes()).hexdigest()}
    if names != range(len(names)):
        recipe["names"] = repr(names)
    folder = recipe_folder("default", recipe)
    cuts = np.cumsum([entry.samples for entry in entries])[:-1]
    lines = [
        put_shard_labels(store, folder, entry, rows, share, whole_index(store, entry) if facts else None)
        for entry, rows, share in zip(entries, np.split(labels, cuts), np.split(repeats, cuts), strict=True)
    ]
    vocabulary = Vocabulary(tuple(Label(i, f"label{n}", (f"n{n:08d}",), (f"lemma{n}",)) for i, n in enumerate(names)))
    view = put_view(store, "default", recipe, manifest, vocabulary, lines, max_labels=max_labels, seed=VIEW_SEED)
    totals = {"samples": sum(entry.samples for entry in entries), "bytes": sum(entry.bytes for entry in entries)}
    commit(store, CorpusFile("test", manifest, totals, views={"default": view}))
