"""Scores one part of a corpus, and puts it into the store unless it is there."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from tagmill.shards import ConfigError, Store, TagmillError
from tagmill.shards.arrays import Int32s
from tagmill.studies.scores.best_labels import best_labels
from tagmill.studies.scores.corpus_parts import CorpusPart
from tagmill.studies.scores.part_file import PartCounts, part_bytes
from tagmill.studies.scores.part_images import PartImages
from tagmill.studies.scores.score_files import part_name
from tagmill.studies.scores.teacher import Teacher, TeacherSource, open_teacher
from tagmill.transfer.features.decoded import decoded_jpegs
from tagmill.transfer.sets.skip_reasons import NOT_FINITE

Report = Callable[[str, int], None]  # called with an outcome, `ok` or a reason, and a number of samples


@dataclass(frozen=True)
class ScoreJob:
    """What a process needs to score parts."""

    teacher: TeacherSource
    digest: str  # of the teacher
    shards: Store  # of the corpus
    manifest_digest: bytes
    output: Store
    top: int
    batch: int  # images that the network gets at a time
    threads: int | None  # that read, and as many that decode; None: the cores of this process


def score_part_of(job: ScoreJob, part: CorpusPart, report: Report) -> None:
    """Scores a part in a process that has no teacher yet; it keeps the teacher for the next part. Raises as `score_part`."""
    teacher = _kept_teacher(job.teacher)
    if teacher.facts["digest"] != job.digest:
        raise ConfigError("the teacher has changed while it was used", job.teacher.source, "run the command again")
    score_part(teacher, job, part, report)


def score_part(
    teacher: Teacher, job: ScoreJob, part: CorpusPart, report: Report, given_up: Callable[[], bool] = lambda: False
) -> bool:
    """Scores a part and writes it, unless another process has written it first. `given_up`: asked before each batch; where it
    returns True the part is left. Returns whether the part was scored.

    Batches are those of the part alone, and a sample without an image keeps its place in them, so that the scores of the
    others do not depend on it. Raises TagmillError where no image of the part has finite outputs, and what reading raises.
    """
    images = PartImages(job.shards, job.manifest_digest, part)
    batches = (range(start, min(start + job.batch, part.samples)) for start in range(0, part.samples, job.batch))
    labels, scores, reasons = list[Int32s](), list[Int32s](), list[str]()
    with one_thread_of_torch(teacher.backbone.device):
        for each in decoded_jpegs(images.read, batches, teacher.backbone.transform, job.threads):
            if given_up():
                return False
            logits = teacher.backbone(each.batch).numpy()
            finite = np.isfinite(logits).all(axis=1)
            why = [reason or ("" if good else NOT_FINITE) for reason, good in zip(each.reasons, finite, strict=True)]
            ids, values = best_labels(logits[[not reason for reason in why]], job.top, teacher.loss)
            labels.append(ids)
            scores.append(values)
            reasons += why
            for outcome, count in Counter(reason or "ok" for reason in why).items():
                report(outcome, count)
    skipped = Counter(filter(None, reasons))
    scored = part.samples - skipped.total()
    if skipped[NOT_FINITE] and not scored:
        what = f"scores that are not finite, for all {skipped[NOT_FINITE]:,} images of a part"
        raise TagmillError(what, job.teacher.source, "the teacher overflows: take an earlier checkpoint")
    keys = [key for key, reason in zip(images.keys(), reasons, strict=True) if not reason]
    counts = PartCounts(part.number, part.samples, scored, dict(sorted(skipped.items())))
    job.output.put_new(part_name(part.number), part_bytes(counts, keys, np.concatenate(labels), np.concatenate(scores)))
    return True


@contextmanager
def one_thread_of_torch(device: str) -> Iterator[None]:
    """Within it a network on a CPU computes in one thread: with several its libraries may sum in another order, and the last
    bits of outputs would depend on the number of cores."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if device == "cpu":
            torch.set_num_threads(before)


@cache
def _kept_teacher(asked: TeacherSource) -> Teacher:
    return open_teacher(asked)
