"""Features of a labelled set by a trained model, made once: what every protocol but fine-tuning begins with."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.shards import ConfigError, Store, TagmillError
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.transfer.features.backbone import Backbone
from tagmill.transfer.features.decoded import decoded_batches
from tagmill.transfer.features.feature_parts import FeatureParts, PartLayout, PartValues, feature_facts, usual_layout
from tagmill.transfer.features.feature_table import FeatureTable
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.skip_reasons import NO_LABEL, NOT_FINITE


@dataclass(frozen=True)
class Sharing:
    """Where features are kept, and which of the processes that share the work this one is."""

    store: Store | None = None  # None: nowhere, so that every call makes all of them
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.ranks:
            raise ConfigError(f"rank {self.rank} of {self.ranks}", "features", "give a rank from 0 to ranks - 1")
        if self.store is None and self.ranks > 1:
            raise ConfigError(
                f"{self.ranks} processes without a store", "features", "give a store that all of them see"
            )


@dataclass(frozen=True, eq=False)
class SetValues:
    """What a network makes of all N images of a set, labels aside."""

    values: npt.NDArray[np.float32]  # [N, d], zero where there is a reason
    reasons: npt.NDArray[np.str_]  # [N], why an image has no features; '' where it has


def extract(
    backbone: Backbone,
    labelled_set: LabelledSet,
    sharing: Sharing | None = None,
    *,
    threads: int | None = None,
    layout: PartLayout | None = None,
    progress: Progress | None = None,
) -> FeatureTable:
    """Returns the features of a set whose examples have one class each. Examples without a class, and images that are missing,
    cannot be decoded, or have features that are not finite are left out and counted. The rest is as for `extract_values`.
    Raises ConfigError for an example of several classes, and TagmillError if no image is left."""
    several = next((example.key for example in labelled_set.examples if len(example.labels) > 1), None)
    if several is not None:
        what = f"a set with several classes an image: {several[:80]!r} has more than one"
        raise ConfigError(what, labelled_set.where, "give a set with one class an image")
    found = extract_values(backbone, labelled_set, sharing, threads=threads, layout=layout, progress=progress)
    labels = np.array([example.labels[0] if example.labels else -1 for example in labelled_set.examples], np.int64)
    reasons = np.where((found.reasons == "") & (labels < 0), NO_LABEL, found.reasons)
    kept = np.flatnonzero(reasons == "")
    skipped = dict(Counter(str(reason) for reason in reasons if reason))
    if not len(kept):
        why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items())) or "it is empty"
        remedy = "the weights are broken or overflow" if skipped.get(NOT_FINITE) else "look at its files and labels"
        raise TagmillError(f"no image of the set is left: {why}", labelled_set.where, remedy)
    examples = [labelled_set.examples[place] for place in kept.tolist()]
    keys = np.array([example.key for example in examples])
    groups = np.array([example.group or example.key for example in examples])
    return FeatureTable(found.values[kept], labels[kept], keys, groups, labelled_set.classes, skipped)


def extract_values(
    backbone: Backbone,
    labelled_set: LabelledSet,
    sharing: Sharing | None = None,
    *,
    threads: int | None = None,
    layout: PartLayout | None = None,
    progress: Progress | None = None,
) -> SetValues:
    """Returns features or logits (`backbone.outputs`) of all images of a set, whatever their labels.

    With a store in `sharing`, parts that are there are read, and the others are made and written, so that processes of
    different ranks share the work and a killed one loses a part. `threads`: threads that read, and as many that decode;
    None: the cores of this process. `layout`: None for the usual one of the device. The numbers are the same, bit for bit,
    for any number of processes and restarts on one kind of machine. Raises StoreError for a store that fails, and
    IntegrityError for a part that was altered.
    """
    sharing, layout, shown = sharing or Sharing(), layout or usual_layout(backbone.device), progress or Silent()
    keys, count = [example.key for example in labelled_set.examples], len(labelled_set)
    values, reasons = np.zeros((count, backbone.width), np.float32), np.full(count, "", object)
    facts = feature_facts(backbone, labelled_set, layout)
    parts = None if sharing.store is None else FeatureParts(sharing.store, facts, keys, backbone.width, layout.part)
    shown.stage("features", count)
    rest = set(range(-(-count // layout.part)))
    todo: Iterable[int] = sorted(rest) if parts is None else parts.missing(sharing.rank, sharing.ranks)
    for part, found in made_parts(backbone, labelled_set, todo, layout, threads):
        kept = found if parts is None else parts.put(part, found)
        rest.discard(part)
        _fill(values, reasons, part * layout.part, kept, shown)
    if parts is not None:
        for part in sorted(rest):
            _fill(values, reasons, part * layout.part, parts.get(part), shown)
    return SetValues(values, reasons.astype(np.str_))


def made_parts(
    backbone: Backbone, labelled_set: LabelledSet, parts: Iterable[int], layout: PartLayout, threads: int | None
) -> Iterator[tuple[int, PartValues]]:
    """Yields (part, its features) for parts of a set, in order, and reads ahead across parts."""

    def batches() -> Iterator[range]:
        for part in parts:
            places = range(part * layout.part, min((part + 1) * layout.part, len(labelled_set)))
            yield from (places[start : start + layout.batch] for start in range(0, len(places), layout.batch))

    values, reasons = list[npt.NDArray[np.float32]](), list[str]()
    for each in decoded_batches(labelled_set, batches(), backbone.transform, threads):
        found, why = _finite(backbone(each.batch).numpy(), each.reasons)
        values.append(found)
        reasons.extend(why)
        last = each.places[-1]
        if last + 1 == len(labelled_set) or (last + 1) % layout.part == 0:
            yield last // layout.part, PartValues(np.concatenate(values), tuple(reasons))
            values, reasons = [], []


def _finite(values: npt.NDArray[np.float32], reasons: Sequence[str]) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Returns the features, zero for images without, and the reasons, with those of features that are not finite."""
    finite = [bool(np.isfinite(row).all()) for row in values]
    why = tuple(reason or ("" if good else NOT_FINITE) for reason, good in zip(reasons, finite, strict=True))
    return np.where(np.array([not reason for reason in why])[:, None], values, np.float32(0)), why


def _fill(
    values: npt.NDArray[np.float32], reasons: npt.NDArray[np.object_], start: int, found: PartValues, shown: Progress
) -> None:
    stop = start + len(found.reasons)
    values[start:stop], reasons[start:stop] = found.values, found.reasons
    counts = Counter(reason or "ok" for reason in found.reasons)
    shown.advance(stop - start, **counts)
