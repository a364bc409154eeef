"""Reads and decodes the images of a set ahead of the network, in batches that are given."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from tagmill.ingest.images.prepare import prepare
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.reasons import Reason
from tagmill.pipeline import Batch, ImageDecoder
from tagmill.shards.storage.threads import DaemonPool
from tagmill.training.trained.model import Transform
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.set_image_policy import IMAGE_POLICY
from tagmill.transfer.sets.skip_reasons import MISSING

ReadJpegs = Callable[[Sequence[int]], list[tuple[bytes | None, str]]]
"""Returns of each place a complete, upright sRGB JPEG and '', or None and a reason. Several threads call it at once."""

AHEAD = 2  # batches that are decoded, or being decoded, while the network has one
_AT_A_TIME = 8  # images that a thread reads


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """Images as the network gets them, before they are normalised."""

    places: Sequence[int]  # [n], in the examples of the set, or what else the images were asked for by
    batch: Batch  # uint8, n slots; zero where there is no image
    reasons: tuple[str, ...]  # [n], why a slot holds no image; '' where it holds one


def decoded_batches(
    labelled_set: LabelledSet, batches: Iterable[Sequence[int]], transform: Transform, threads: int | None = None
) -> Iterator[DecodedBatch]:
    """Yields the images of `batches` (places in the set) in order, cropped and resized as `transform` says. At most
    AHEAD batches are in memory beside the one that was yielded. `threads`: threads that read, and as many that decode; None:
    the cores of this process. Raises StoreError for a store that fails."""
    return decoded_jpegs(partial(prepared_jpegs, labelled_set), batches, transform, threads)


def decoded_jpegs(
    read: ReadJpegs, batches: Iterable[Sequence[int]], transform: Transform, threads: int | None = None
) -> Iterator[DecodedBatch]:
    """Yields images that `read` returns as `decoded_batches` does. Raises what `read` raises."""
    count = threads or len(os.sched_getaffinity(0))
    waiting, rest = deque[Future[DecodedBatch]](), iter(batches)
    with (
        ImageDecoder(transform.size, transform.share, count, squeezed=transform.squeezed) as decoder,
        DaemonPool(count, "tagmill-images") as readers,
        DaemonPool(1, "tagmill-decode") as decoding,
    ):

        def begin(places: Sequence[int]) -> Future[DecodedBatch]:
            pieces = [places[start : start + _AT_A_TIME] for start in range(0, len(places), _AT_A_TIME)]
            being_read = [readers.submit(read, piece) for piece in pieces]
            return decoding.submit(_decoded, decoder, places, being_read)

        while True:
            while len(waiting) <= AHEAD and (places := next(rest, None)) is not None:
                waiting.append(begin(places))
            if not waiting:
                return
            yield waiting.popleft().result()


def prepared_jpegs(labelled_set: LabelledSet, places: Sequence[int]) -> list[tuple[bytes | None, str]]:
    """Reads images of any format of the web. Returns of each a complete, upright sRGB JPEG and '', or None and a reason."""
    return [_jpeg(body) for body in labelled_set.read(places)]


def _jpeg(body: bytes | None) -> tuple[bytes | None, str]:
    if body is None:
        return None, MISSING
    made = prepare(body, IMAGE_POLICY)
    return (None, str(made.reason)) if isinstance(made, Rejected) else (made.jpeg, "")


def _decoded(
    decoder: ImageDecoder, places: Sequence[int], read: list[Future[list[tuple[bytes | None, str]]]]
) -> DecodedBatch:
    found = [pair for piece in read for pair in piece.result()]
    batch = decoder.decode([jpeg for jpeg, _ in found])
    reasons = (
        reason or ("" if valid else str(Reason.DECODER_FAILED))
        for (_, reason), valid in zip(found, batch.valid.tolist(), strict=True)
    )
    return DecodedBatch(places, batch, tuple(reasons))
