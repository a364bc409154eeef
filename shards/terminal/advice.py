"""Advice about a corpus and a run: one rule a function, which says what is out of proportion, why it matters and what helps.

Each rule takes plain numbers and returns one or two sentences, or None where the value is in proportion.
"""

from collections.abc import Sequence

from tagmill.shards.terminal.lines import size_text
from tagmill.shards.terminal.safe_text import safe_text

UNLABELLED_SHARE = 0.5  # of samples
ONE_LABEL_SHARE = 0.2  # of the images of the train split
RARE_IMAGES = 10  # a label on fewer images is hard to learn
RARE_SHARE = 0.1  # of labels
COPIES_SHARE = 0.3  # of rows
SMALL_SHARD, MANY_SHARDS = 32_000_000, 16  # bytes on average, from so many shards on
LARGE_SHARD = 4_000_000_000  # bytes on average
NAME_CELLS = 40


def on_no_label(labels: int, samples: int) -> str | None:
    """Says that there is nothing to learn."""
    if labels or not samples:
        return None
    return (
        "There is no label, so there is nothing to learn. `tagmill corpus vocabulary` lists the tokens that were "
        "dropped; `tagmill corpus view` labels the corpus in another way."
    )


def on_unlabelled(unlabelled: int, samples: int) -> str | None:
    """Says that most samples are of no use to a training."""
    if not samples or unlabelled <= UNLABELLED_SHARE * samples:
        return None
    return (
        f"{unlabelled / samples:.0%} of the samples have no label, and training skips them. `tagmill corpus view` with "
        "--compounds, --aliases or --translations finds labels for more tags."
    )


def on_one_label(name: str, images: int, samples: int) -> str | None:
    """Says that a label outweighs the others: it is on `images` of `samples`, both of the train split."""
    if not samples or images <= ONE_LABEL_SHARE * samples:
        return None
    return (
        f"The label '{safe_text(name, NAME_CELLS)}' is on {images / samples:.0%} of the images: a model that "
        "always names it looks good. Resample (`tagmill corpus view` with --resample sqrt), or leave its token "
        "out with --stop."
    )


def on_rare_labels(rare: int, labels: int) -> str | None:
    """Says that many labels have fewer than `RARE_IMAGES` images."""
    if not labels or rare <= RARE_SHARE * labels:
        return None
    return (
        f"{rare:,} of {labels:,} labels are on fewer than {RARE_IMAGES} training images each, too few to learn. "
        f"`tagmill corpus view` with --min-count {RARE_IMAGES} leaves them out."
    )


def on_copies(copies: int, rows: int) -> str | None:
    """Says that the lists repeat themselves."""
    if not rows or copies <= COPIES_SHARE * rows:
        return None
    return (
        f"{copies / rows:.0%} of the rows are copies of other images. The corpus has each image once, with the tags of its "
        "copies; for more images, give other lists."
    )


def on_shard_size(size: int, shards: int) -> str | None:
    """Says that shards are too small for a bucket, or too large; `size` is the number of bytes of all of them."""
    mean = size / shards if shards else 0
    if shards >= MANY_SHARDS and mean < SMALL_SHARD:
        return (
            f"The {shards:,} shards are small, {size_text(mean)} on average: each is a request and four objects more in a "
            "bucket. Ingest with larger --shard-samples or --shard-bytes."
        )
    if mean > LARGE_SHARD:
        return (
            f"The shards are large, {size_text(mean)} on average: a process that packs one holds up the others, and a damaged "
            "one costs more. Ingest with smaller --shard-samples or --shard-bytes."
        )
    return None


def on_unpurged(taken_down: int, purged: int) -> str | None:
    """Says that bytes of samples that were taken down are in the corpus still."""
    if taken_down <= purged:
        return None
    return (
        f"The bytes of {taken_down - purged:,} samples that are taken down are in the shards still. `tagmill corpus takedown "
        "CORPUS --purge` deletes them for good."
    )


def on_exports(exports: int) -> str | None:
    """Says that copies elsewhere may have what was taken down."""
    if not exports:
        return None
    which = "1 export" if exports == 1 else f"{exports:,} exports"
    return (
        f"{which} may have samples of the list. The command that made an export leaves them out when it is run again; copies "
        "of an export are yours to delete."
    )


def on_memory(needed: int, machine: int) -> str | None:
    """Says that a loader needs more memory than this machine has, bytes of a node."""
    if not machine or needed <= machine:
        return None
    return (
        f"The open samples of a node need {size_text(needed)}, and this machine has {size_text(machine)}: lower --streams, "
        "--window or --chunk, or use nodes with more memory."
    )


def on_labels(labels: Sequence[tuple[str, int]], samples: int) -> list[str]:
    """Returns the advice about the labels of a view, given by name and images; `samples` and images are of the train split."""
    name, most = max(labels, key=lambda each: each[1], default=("", 0))
    rare = sum(images < RARE_IMAGES for _, images in labels)
    return given(
        on_no_label(len(labels), samples), on_one_label(name, most, samples), on_rare_labels(rare, len(labels))
    )


def given(*found: str | None) -> list[str]:
    """Returns what rules said, in their order."""
    return [text for text in found if text]
