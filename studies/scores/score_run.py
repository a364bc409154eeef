"""Scores every sample of a corpus once, in parts that processes share, and goes on after it was killed."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tagmill.ingest.workers.pool import WorkerPool
from tagmill.pipeline import World
from tagmill.shards import ConfigError, Corpus, Store, TagmillError
from tagmill.shards.many_requests import TABLES_AT_ONCE, in_order
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.studies.scores.begun import begin_scores, score_facts
from tagmill.studies.scores.corpus_parts import CorpusPart, CorpusParts
from tagmill.studies.scores.part_file import read_counts
from tagmill.studies.scores.score_files import (
    DONE_FILE,
    PARTS_FOLDER,
    ScoredSplit,
    ScoreFacts,
    Scores,
    ScoreTotals,
    open_scores,
    part_name,
    totals_json,
)
from tagmill.studies.scores.score_part import ScoreJob, score_part, score_part_of
from tagmill.studies.scores.teacher import Teacher
from tagmill.transfer.features.feature_parts import usual_layout


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How a corpus is scored. What changes scores is kept in `scores.json`; threads and processes change nothing."""

    top: int = 10  # P, as in Yalniz et al. 2019
    split: ScoredSplit = "train"
    batch: int | None = None  # images that the network gets at a time; None: the usual number of the device
    part_samples: int | None = None  # samples of a part; None: the usual number
    threads: int | None = None  # of a process; None: its share of the cores
    processes: int | None = None  # on this machine; None: as many as there are cores, and one with a GPU or in a world


class ScoreRun:
    """The scores of a corpus by a teacher, in a folder."""

    def __init__(
        self, teacher: Teacher, corpus: Corpus, output: Store, settings: ScoreSettings, world: World | None = None
    ) -> None:
        """Raises ConfigError for settings that do not suit the teacher or the folder, and InputError for no samples."""
        self._teacher, self._corpus, self._output, self._settings = teacher, corpus, output, settings
        self._world = world or World()
        if (settings.processes or 1) > 1 and self._world.size > 1:
            what = f"--processes {settings.processes} in each of {self._world.size} processes"
            raise ConfigError(what, "scores", "leave --processes out: torchrun starts them")
        self._parts = CorpusParts(corpus, settings.split, settings.part_samples)
        batch = settings.batch or usual_layout(teacher.backbone.device).batch
        self.facts: ScoreFacts = score_facts(teacher, corpus, self._parts, settings.split, settings.top, batch)

    def scored(self, progress: Progress | None = None) -> Scores | None:
        """Scores what is missing. Returns the scores; None in processes other than the first of a world, which end when no
        part is missing. Raises TagmillError for a teacher or a store that fails."""
        shown: Progress = progress or Silent()
        begin_scores(self._output, self.facts)
        if not self._output.exists(DONE_FILE):
            if (processes := self._processes()) > 1:
                self._by_workers(processes, shown)
            else:
                self._in_this_process(shown)
            if self._world.rank:
                return None
            self._output.put_new(DONE_FILE, totals_json(self._totals(shown)))
        return None if self._world.rank else open_scores(self._output.url)

    def _processes(self) -> int:
        if self._world.size > 1:
            return 1
        usual = 1 if self._teacher.backbone.device != "cpu" else len(os.sched_getaffinity(0))
        return min(self._settings.processes or usual, int(np.count_nonzero(self._absent())))

    def _job(self, threads: int | None) -> ScoreJob:
        return ScoreJob(
            self._teacher.asked,
            self.facts.teacher["digest"],
            self._corpus.store.within("shards"),
            self._corpus.digest,
            self._output,
            self.facts.top,
            self.facts.batch,
            threads,
        )

    def _by_workers(self, processes: int, shown: Progress) -> None:
        absent = np.flatnonzero(self._absent()).tolist()
        shown.stage("score", sum(len(self.facts.places(part)) for part in absent))
        job = self._job(self._settings.threads or max(1, len(os.sched_getaffinity(0)) // processes))
        with WorkerPool(processes, "teach score") as pool:
            tasks = map(self._part, absent)
            for _ in pool.each(partial(score_part_of, job), tasks, shown, lambda part: part_name(part.number)):
                pass

    def _in_this_process(self, shown: Progress) -> None:
        rank, size = self._world.rank, self._world.size
        own = [part for part in np.flatnonzero(self._absent()).tolist() if part % size == rank]
        shown.stage("score", sum(len(self.facts.places(part)) for part in own))
        self._score(own, shown, helps=False)
        if size > 1:
            shown.stage("score: parts of other processes")
            self._score(self._of_others(), shown, helps=True)

    def _score(self, parts: Iterator[int] | list[int], shown: Progress, *, helps: bool) -> None:
        job = self._job(self._settings.threads)

        def report(outcome: str, count: int) -> None:
            shown.advance(count, **{outcome: count})

        for part in parts:
            is_there = partial(self._output.exists, part_name(part))
            if not is_there():
                given_up = is_there if helps else lambda: False
                score_part(self._teacher, job, self._part(part), report, given_up)

    def _of_others(self) -> Iterator[int]:
        """Yields the parts of other processes, of each the last ones first: a process that is done helps the others, and none
        waits for one that was killed."""
        rank, size = self._world.rank, self._world.size
        for step in range(1, size):
            yield from reversed(range((rank + step) % size, self.facts.num_parts, size))

    def _absent(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Returns which parts are not there, bool [parts], by one listing."""
        names = {part_name(part): part for part in range(self.facts.num_parts)}
        absent = np.ones(self.facts.num_parts, np.bool_)
        for name, _ in self._output.listing(PARTS_FOLDER):
            if (part := names.get(name)) is not None:
                absent[part] = False
        return absent

    def _part(self, number: int) -> CorpusPart:
        """Returns a part with the takedown list of this moment: a run may take days."""
        now = self._corpus
        with suppress(TagmillError):
            now = Corpus.open(self._corpus.store.url, self._corpus.cache)
        if now.file.takedown != self._corpus.file.takedown:
            self._corpus = replace(self._corpus, file=replace(self._corpus.file, takedown=now.file.takedown))
        return self._parts.part(number, self._corpus.takedown)

    def _totals(self, shown: Progress) -> ScoreTotals:
        """Reads all parts. Raises IntegrityError for a part that was altered, and TagmillError if no sample has scores."""
        count = self.facts.num_parts
        shown.stage("check", count)
        skipped, scored, digest = Counter[str](), 0, hashlib.sha256()
        names = map(part_name, range(count))
        at_once = TABLES_AT_ONCE if self._output.root is None else 1
        for part, data in enumerate(in_order(self._output.read, names, at_once)):
            where = f"{self._output.url}/{part_name(part)}"
            found = read_counts(data, part, len(self.facts.places(part)), self.facts.top, where)
            scored += found.scored
            skipped.update(found.skipped)
            digest.update(hashlib.sha256(data).digest())
            shown.advance(1)
        if not scored:
            why = ", ".join(f"{number:,} {reason}" for reason, number in sorted(skipped.items()))
            remedy = "tagmill corpus lint says what is wrong with the images; then delete the folder of the scores"
            raise TagmillError(f"no sample has scores: {why}", self._corpus.store.url, remedy)
        return ScoreTotals(scored, dict(sorted(skipped.items())), scored * self.facts.top, digest.hexdigest())
