"""The whole way from a list of URLs to a corpus: the stages in their order, and the one commit at the end.

Every stage leaves its result in the store under `parts/` and finds it there again, so that a run which was killed goes on
where it stopped and ends with the same bytes. Readers see no corpus before `corpus.json` is there.
"""

import dataclasses
import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from tagmill.ingest.commit import NewCorpus, close, commit_first, finish, finished, lineage, reported, rules
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.memory import bytes_of, shared
from tagmill.ingest.dedup.decontamination import LEAKS, EvaluationSets
from tagmill.ingest.dedup.evaluation_sets import read_sets
from tagmill.ingest.dedup.existing_samples import existing_rows
from tagmill.ingest.dedup.placeholders import TAGGED
from tagmill.ingest.dedup.resolve import SetRules
from tagmill.ingest.dedup.selection import Selected, select
from tagmill.ingest.engines.engine import parquet_of
from tagmill.ingest.executor import Executor, open_executor
from tagmill.ingest.extend.base_corpus import Base, begin, extended, is_done
from tagmill.ingest.extend.generation import Generation, check_views
from tagmill.ingest.filters.pinned import Forbidden, pin_forbidden
from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.ingest.http.proxy import PROXY_WARNING, Proxies
from tagmill.ingest.image_stacks import hold_stack
from tagmill.ingest.layout import attempt_file, done_file
from tagmill.ingest.pack.shard_plan import NOTHING_BEFORE, check_dealt
from tagmill.ingest.pack.write_shards import PackedGroup, PackTask, plan_groups, totals_of
from tagmill.ingest.parts.first_look import FirstLook, reading_of
from tagmill.ingest.parts.known_urls import partition_known
from tagmill.ingest.parts.make import PartSummary
from tagmill.ingest.parts.partition import PartitionManifest, partition
from tagmill.ingest.parts.robots import ask_hosts, find_hosts
from tagmill.ingest.parts.run import pictures_left, run_parts
from tagmill.ingest.parts.table import PART
from tagmill.ingest.progress.failure_budget import FailureBudget
from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.progress.progress import Progress, Silent
from tagmill.ingest.redo import begin_labelling, begin_packing, pack_stamp, select_stamp
from tagmill.ingest.report import REPORT_FILE as REPORT
from tagmill.ingest.report import Report
from tagmill.ingest.scratch import spool_folder
from tagmill.ingest.sources.rows import check as check_sources
from tagmill.ingest.sources.rows import extra_schema
from tagmill.ingest.views.build import DEFAULT_VIEW as VIEW
from tagmill.ingest.views.build import CorpusSource, Labelled, make_view
from tagmill.shards.errors import CorpusError
from tagmill.shards.manifest import Corpus, Named, put_manifest
from tagmill.shards.side_tables import label
from tagmill.shards.storage.local_disk import full_disks
from tagmill.shards.storage.store import Store
from tagmill.shards.vocabulary import Vocabulary

log = logging.getLogger(__name__)

FACTS = [
    *("row_id", "part", "place", "reason", "key"),
    *("original_width", "original_height", "sample_bytes", "holdout_order"),
    *("url", "pdq0", "pdq1", "pdq2", "pdq3", "pdq_quality"),
]


def ingest(config: IngestConfig, progress: Progress | None = None) -> Report:
    """Turns the input of `config` into a corpus at its output, with the view `default`, and says what happened.

    A run that was killed is taken up where it stopped. What was fetched is kept under the same flags of fetching, and under
    the same image stack while pictures are still to be made; where flags of later stages changed, these are done again.
    Raises TagmillError for whatever keeps the corpus from being whole; there is no `corpus.json` then.
    """
    store = Store(config.output)
    base = None
    if config.extend:
        if is_done(config, store):
            return finished(store)
        check_views(config, Corpus.open(config.output))
        base = begin(config, store)
    elif store.exists("corpus.json"):
        return finish(store, config)
    with full_disks(config.spool), spool_folder(config.spool) as spool:
        config = dataclasses.replace(config, spool=str(spool))
        with closing(open_executor(config, spool / "engine")) as place:
            return _Run(config, store, spool, progress or Silent(), place, base).report()


@dataclass
class _Run:
    """One run and what its stages share."""

    config: IngestConfig
    store: Store
    spool: Path
    progress: Progress
    place: Executor
    base: Base | None = None  # the corpus that is extended
    seconds: dict[str, float] = field(default_factory=dict)
    traffic: FetchStats = field(default_factory=FetchStats)

    def report(self) -> Report:
        """All stages in their order."""
        rules(self.config).vocabulary.file_labels()  # a file that cannot be read is found before anything is written
        if Proxies.from_environment() and not self.config.allow_private:
            log.warning(PROXY_WARNING)
        check_sources(self.config)  # likewise
        forbidden = self._pins()
        evaluation = read_sets(self.config)
        dealt = self._deal()
        if self.config.honour_robots:
            self._robots(dealt)
        with self._stage("fetch", dealt.rows):
            budget = FailureBudget(self.progress, dealt.rows, self.config.failure_budget, self.config.output)
            parts = run_parts(self.config, self.store, dealt.num_parts, budget, self.place.parts)
            budget.check(done=True)
            self.traffic = budget.traffic
        with self._stage("select"):
            selected = self._select(parts, dealt, evaluation)
        with self._stage("pack", dealt.rows):
            packed = self._pack(parts, dealt, selected.stamp)
        run = NewCorpus(dealt, packed, forbidden.denied, evaluation, selected.counts)
        return self._extend(self.base, run) if self.base else self._finish(run)

    def _pins(self) -> Forbidden:
        """What holds a run that goes on to what it was begun with: what it must not take in, and who makes its pictures."""
        listed = Denylist.of(self.base.corpus.takedown) if self.base else Denylist()
        forbidden = pin_forbidden(self.config, self.store, listed)
        if pictures_left(self.store):
            hold_stack(self.config, self.store, self._over)
        return forbidden

    def _deal(self) -> PartitionManifest:
        config, base = self.config, self.base
        with self._stage("deal"), FirstLook(config, rules(config).match) as look:
            dealt = partition(config, self.store, self.spool, base.num_files if base else 0, look.see)
            check_dealt(config, dealt.rows, dealt.num_parts, base.before if base else NOTHING_BEFORE)
            if base:
                partition_known(base.corpus, dealt, self.store, self.spool, config.processes)
        return dealt

    def _robots(self, dealt: PartitionManifest) -> None:
        """Asks hosts what may be fetched of them, where anything is still to be fetched."""
        there = set(self.store.names("parts"))
        if all(done_file(part) in there for part in range(dealt.num_parts)):
            return
        with self._stage("hosts"):
            sizes = find_hosts(self.config, self.store, dealt.num_parts, self.place.engine)
        with self._stage("robots", sum(sizes)):
            ask_hosts(self.config, self.store, dealt.num_parts, sizes, self.place.engine, self.progress)

    def _select(self, parts: list[PartSummary], dealt: PartitionManifest, evaluation: EvaluationSets) -> Selected:
        base, config = self.base, self.config
        existing = (lambda: existing_rows(base.corpus, self.spool / "existing.parquet")) if base else None
        names = [attempt_file(part.part, part.attempt) for part in parts]
        facts = parquet_of(self.store, names, pa.schema([PART.field(name) for name in FACTS]))  # never a picture
        engine_memory, _ = shared(bytes_of(config.memory_limit))
        with closing(self.place.engine(engine_memory)) as engine:
            selected = select(
                engine,
                self.store,
                facts,
                num_parts=dealt.num_parts,
                parts_per_group=config.parts_per_group,
                holdout=config.holdout,
                spool=self.spool,
                existing=existing,
                leaks=f"{label(base.runs if base else 0, LEAKS)}.parquet",
                rules=SetRules.of(config, evaluation),
                stamp=select_stamp(config, evaluation, parts),
                tagged=parquet_of(self.store, facts.names, TAGGED),
            )
        self._check_sum(selected.rows, dealt, "the selection")
        return selected

    def _pack(self, parts: list[PartSummary], dealt: PartitionManifest, selected: str) -> list[PackedGroup]:
        config = self.config
        groups = plan_groups(
            self.store,
            num_parts=dealt.num_parts,
            parts_per_group=config.parts_per_group,
            max_samples=config.shard_samples,
            max_bytes=config.shard_bytes,
            selected=selected,
            before=self.base.before if self.base else NOTHING_BEFORE,
        )
        extra, stamp = extra_schema(config), pack_stamp(config, selected)
        begin_packing(self.store, stamp, self.base)
        tasks = [
            PackTask(
                store=self.store,
                spool=str(self.spool),
                group=group,
                attempts={part: attempt_file(part, parts[part].attempt) for part in group.parts},
                parts_per_group=config.parts_per_group,
                extra=extra,
                stamp=stamp,
                selected=selected,
                extends=self.base is not None,
            )
            for group in groups
        ]
        packed = self.place.pack(tasks, self.progress)
        self._check_sum(sum(sum(group.outcomes().values()) for group in packed), dealt, "samples and rejects")
        return packed

    def _finish(self, run: NewCorpus) -> Report:
        """The end of a run that makes a corpus: its view, its report and its commit."""
        config = self.config
        with self._stage("label"):
            note = begin_labelling(self.store)
            manifest = put_manifest(self.store, run.entries, note)
            spool = self.spool / "view"
            spool.mkdir()
            source = CorpusSource(self.store, manifest, run.entries, spool, config.processes)
            with closing(self.place.engine()) as engine:
                labelled = make_view(
                    *(engine, source, VIEW, rules(config)), seed=config.seed, reading=reading_of(config), note=note
                )
        report = self._told(run, labelled)
        self.store.put(REPORT, report.json())
        commit_first(config, self.store, run, report, manifest, labelled)
        return report

    def _extend(self, base: Base, run: NewCorpus) -> Report:
        """The end of a run that extends: the views of the next generation, its commit, and its report."""
        config = self.config
        totals = totals_of(run.packed)
        with self._stage("label"):
            note = begin_labelling(self.store)
            generation = Generation(base, config, run.denied, self.spool, self.place.engine, note)
            manifest = base.put_manifest(run.entries, note)
            line = lineage(config, self.store, run, base) | {"samples": totals["samples"]}
            next_ = partial(extended, base, manifest=manifest, totals=totals, run=line)
            corpus = generation.label(next_)
        labelled = generation.labelled.get(VIEW, Labelled(Named("", ""), Vocabulary(())))
        report = dataclasses.replace(self._told(run, labelled), totals=corpus.file.totals)
        close(config, self.store, base.runs + 1, report)
        generation.commit(next_, corpus)
        return finished(self.store)

    def _told(self, run: NewCorpus, labelled: Labelled) -> Report:
        name = self.base.corpus.file.name if self.base else self.config.name
        return reported(self.config, self.store, name, run, labelled, self.seconds, self.traffic)

    def _check_sum(self, found: int, dealt: PartitionManifest, what: str) -> None:
        """rows in = samples + rejects, or there is no corpus."""
        if found != dealt.rows:
            remedy = f"nothing was committed: {self._over}, and report this"
            raise CorpusError(f"{dealt.rows} rows came in, {what} are {found}", self.config.output, remedy)

    @property
    def _over(self) -> str:
        """How to start over."""
        return "remove the folder parts there and run it again" if self.base else "remove the output and start over"

    @contextmanager
    def _stage(self, name: str, total: int | None = None) -> Iterator[None]:
        self.progress.stage(name, total)
        begun = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begun
