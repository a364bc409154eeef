"""What a detector found on a test set, as a JSON file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tagmill.shards import Store
from tagmill.transfer.detection.average_precision import AveragePrecision
from tagmill.transfer.detection.box_errors import ClassMatches
from tagmill.transfer.outcome.canonical import canonical_json

DETECTION_FILE = "detection.json"


@dataclass(frozen=True)
class DetectionOutcome:
    """Average precision of one run, and what gave it."""

    protocol: str  # detection
    detector: str  # faster-rcnn, mask-rcnn or retinanet
    model: str  # where the backbone's weights are from
    model_digest: str
    random: bool  # whether the backbone's weights are random, with measured batch statistics
    train_set: str
    train_digest: str
    val_set: str
    val_digest: str
    classes: tuple[str, ...]
    images: int  # of the test set, that were evaluated
    boxes: AveragePrecision
    masks: AveragePrecision | None
    settings: Mapping[str, object]
    skipped: Mapping[str, Mapping[str, int]]  # by what was left out (train_images, train_annotations, ...), by reason
    matches: tuple[ClassMatches, ...] = ()  # of boxes, in the order of the classes


def write_detection(outcome: DetectionOutcome, store: Store) -> None:
    """Writes `detection.json`, in one step; equal outcomes give equal bytes."""
    store.put(DETECTION_FILE, canonical_json(asdict(outcome), indent=1))
