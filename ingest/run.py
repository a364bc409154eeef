"""The whole way from a list of URLs to a corpus: the stages in their order, and the one commit at the end.

Every stage leaves its result in the store under `parts/` and finds it there again, so that a run which was killed goes on
where it stopped and ends with the same bytes. Readers see no corpus before `corpus.json` is there.
"""

import dataclasses
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from tagmill.ingest.blocklist import pin_blocklist
from tagmill.ingest.budget import Budget
from tagmill.ingest.config import IngestConfig
from tagmill.ingest.deal import Dealt, deal
from tagmill.ingest.denied import Denied, read_denied
from tagmill.ingest.engine import Parquet, parquet_of
from tagmill.ingest.evaluation import LEAKS, EvaluationSets
from tagmill.ingest.evaluation_sets import pinned_sets
from tagmill.ingest.existing import existing_rows
from tagmill.ingest.extend import CLOSING, Base, begin, clear, extended, is_done
from tagmill.ingest.extend import closing as closing_of
from tagmill.ingest.fates import SetCounts, SetRules
from tagmill.ingest.first_look import FirstLook, reading_of
from tagmill.ingest.generation import Generation, check_views
from tagmill.ingest.images import image_stack
from tagmill.ingest.known import deal_known
from tagmill.ingest.matching import MatchRules
from tagmill.ingest.pack import Packed, PackTask, plan_groups, totals_of
from tagmill.ingest.part import DENIED, PartSummary, attempt_file, done_file
from tagmill.ingest.part_table import PART
from tagmill.ingest.parts import run_parts
from tagmill.ingest.plan import NOTHING
from tagmill.ingest.progress import Progress, Silent
from tagmill.ingest.proxy import SAYS as PROXY_SAYS
from tagmill.ingest.proxy import Proxies
from tagmill.ingest.recipe import ViewRules
from tagmill.ingest.report import NAME as REPORT
from tagmill.ingest.report import TOP_LABELS, Report, TopLabel, commonest
from tagmill.ingest.robots_stage import ask_hosts, find_hosts
from tagmill.ingest.room import bytes_of, shared
from tagmill.ingest.select import select
from tagmill.ingest.sides import label
from tagmill.ingest.sources import check as check_sources
from tagmill.ingest.sources import extra_schema
from tagmill.ingest.spool import spool_folder
from tagmill.ingest.views import NAME as VIEW
from tagmill.ingest.views import Labelled, Source, make_view
from tagmill.ingest.vocabularies import VocabularyRules
from tagmill.ingest.waits import Traffic
from tagmill.ingest.workplace import Workplace, workplace
from tagmill.shards.disk import full_disks
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.manifest import SPLITS, Corpus, CorpusFile, Named, ShardEntry, commit, put_manifest
from tagmill.shards.record import sha256_hex
from tagmill.shards.store import Store
from tagmill.shards.vocabulary import Vocabulary

log = logging.getLogger(__name__)

STACK = "parts/stack.json"  # who makes the pictures, and with which version of this code
STACKS = "parts/stack-"  # others that went on with it
NEW_REPORT = "parts/report.json"  # of a run that extends, until its generation is there
FACTS = [
    *("row_id", "part", "place", "reason", "key"),
    *("original_width", "original_height", "sample_bytes", "holdout_order"),
    *("url", "pdq0", "pdq1", "pdq2", "pdq3", "pdq_quality"),
]


def ingest(config: IngestConfig, progress: Progress | None = None) -> Report:
    """Turns the input of `config` into a corpus at its output, with the view `default`, and says what happened.

    A run that was killed is taken up where it stopped, under the same config and image stack. Raises TagmillError for
    whatever keeps the corpus from being whole; there is no `corpus.json` then.
    """
    store = Store(config.output)
    base = None
    if config.extend:
        if is_done(config, store):
            return _finished(store)
        check_views(config, Corpus.open(config.output))
        base = begin(config, store)
    elif store.exists("corpus.json"):
        return _finish(store, config)
    with full_disks(config.spool), spool_folder(config.spool) as spool:
        config = dataclasses.replace(config, spool=str(spool))
        with closing(workplace(config, spool / "engine")) as place:
            return _Run(config, store, spool, progress or Silent(), place, base).report()


@dataclass
class _Run:
    """One run and what its stages share."""

    config: IngestConfig
    store: Store
    spool: Path
    progress: Progress
    place: Workplace
    base: Base | None = None  # the corpus that is extended
    seconds: dict[str, float] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)

    def report(self) -> Report:
        """All stages in their order."""
        base = self.base
        self._rules().vocabulary.listed()  # a file that cannot be read is found before anything is written
        if Proxies.from_environment() and not self.config.allow_private:
            log.warning(PROXY_SAYS)
        self._check_stack()
        denied = self._pin_denied()
        pin_blocklist(self.config, self.store)
        evaluation = pinned_sets(self.config, self.store)
        with self._stage("deal"), FirstLook(self.config, self._rules().match) as look:
            dealt = deal(self.config, self.store, self.spool, base.num_files if base else 0, look.see)
            if base:
                deal_known(base.corpus, dealt, self.store, self.spool, self.config.processes)
        if self.config.honour_robots:
            self._robots(dealt)
        with self._stage("fetch", dealt.rows):
            budget = Budget(self.progress, dealt.rows, self.config.failure_budget, self.config.output)
            parts = run_parts(self.config, self.store, dealt.num_parts, budget, self.place.parts)
            budget.check(done=True)
            self.traffic = budget.traffic
        facts = self._facts(parts)
        with self._stage("select"):
            counts = self._select(facts, dealt, evaluation)
        with self._stage("pack", dealt.rows):
            packed = self._pack(parts, dealt)
            entries = _in_corpus_order(packed)
        if base:
            return self._extend(base, dealt, packed, entries, denied, evaluation, counts)
        with self._stage("label"):
            manifest = put_manifest(self.store, entries)
            labelled = self._label(manifest, entries)
        report = self._reported(dealt, packed, entries, labelled, counts)
        self.store.put(REPORT, report.json())
        self._commit(report, dealt, packed, manifest, labelled, denied, evaluation)
        return report

    def _check_stack(self) -> None:
        """Refuses a run whose pictures were begun by other code: their bytes would differ."""
        check_sources(self.config)  # a list that cannot be read is found before anything is written
        mine = json.dumps({"image_stack": image_stack(), "code_version": version("tagmill")}, sort_keys=True).encode()
        if self.store.put_new(STACK, mine) or self.store.read(STACK) == mine:
            return
        if not self.config.mixed_stack:
            what = f"begun with {json.loads(self.store.read(STACK))}, this machine has {json.loads(mine)}"
            remedy = f"go on with the same versions, give --mixed-stack, or {self._anew}"
            raise ConfigError(what, self.config.output, remedy)
        self.store.put(f"{STACKS}{sha256_hex(mine)[:12]}.json", mine)

    def _stacks(self) -> dict[str, Any]:
        """All that made pictures of this run, where there were several or the corpus has another."""
        names = [STACK, *(name for name in self.store.names("parts") if name.startswith(STACKS))]
        found = [json.loads(self.store.read(name)) for name in names]
        alone = len(found) == 1 and (self.base is None or self.base.corpus.file.image_stack == found[0]["image_stack"])
        return {} if alone else {"image_stacks": found}

    def _pin_denied(self) -> Denied:
        """Puts what the takedown lists forbid where the workers find it, and refuses a run that was begun under other rules."""
        denied = read_denied(self.config.takedown)
        listed = Denied.of(self.base.corpus.takedown) if self.base else Denied()
        if self.store.put_new(DENIED, (denied | listed).json()):
            return denied | listed
        pinned = Denied.parse(self.store.read(DENIED))
        if not denied.rules <= pinned.rules <= (denied | listed).rules:
            remedy = f"give the lists of the run that began it, as they were, or {self._anew}"
            raise ConfigError("begun with other takedown lists", self.config.output, remedy)
        return pinned  # what the corpus's own list got since is seen to before the commit

    def _robots(self, dealt: Dealt) -> None:
        """Asks hosts what may be fetched of them, where anything is still to be fetched."""
        there = set(self.store.names("parts"))
        if all(done_file(part) in there for part in range(dealt.num_parts)):
            return
        with self._stage("hosts"):
            sizes = find_hosts(self.config, self.store, dealt.num_parts, self.place.engine)
        with self._stage("robots", sum(sizes)):
            ask_hosts(self.config, self.store, dealt.num_parts, sizes, self.place.engine, self.progress)

    def _facts(self, parts: list[PartSummary]) -> Parquet:
        """What set work sees of the parts: never a picture."""
        names = [attempt_file(part.part, part.attempt) for part in parts]
        return parquet_of(self.store, names, pa.schema([PART.field(name) for name in FACTS]))

    def _select(self, facts: Parquet, dealt: Dealt, evaluation: EvaluationSets) -> SetCounts:
        base = self.base
        existing = (lambda: existing_rows(base.corpus, self.spool / "existing.parquet")) if base else None
        engine_memory, _ = shared(bytes_of(self.config.memory_limit))
        with closing(self.place.engine(engine_memory)) as engine:
            selected = select(
                engine,
                self.store,
                facts,
                num_parts=dealt.num_parts,
                parts_per_group=self.config.parts_per_group,
                holdout=self.config.holdout,
                spool=self.spool,
                existing=existing,
                leaks=f"{label(base.runs if base else 0, LEAKS)}.parquet",
                rules=SetRules.of(self.config, evaluation),
            )
        self._check_sum(selected.rows, dealt, "the selection")
        return selected.counts

    def _pack(self, parts: list[PartSummary], dealt: Dealt) -> list[Packed]:
        config = self.config
        groups = plan_groups(
            self.store,
            num_parts=dealt.num_parts,
            parts_per_group=config.parts_per_group,
            max_samples=config.shard_samples,
            max_bytes=config.shard_bytes,
            before=self.base.before if self.base else NOTHING,
        )
        extra = extra_schema(config)
        tasks = [
            PackTask(
                store=self.store,
                spool=str(self.spool),
                group=group,
                attempts={part: attempt_file(part, parts[part].attempt) for part in group.parts},
                parts_per_group=config.parts_per_group,
                extra=extra,
                extends=self.base is not None,
            )
            for group in groups
        ]
        packed = self.place.pack(tasks, self.progress)
        self._check_sum(sum(sum(group.outcomes().values()) for group in packed), dealt, "samples and rejects")
        return packed

    def _label(self, manifest: Named, entries: list[ShardEntry]) -> Labelled:
        config = self.config
        spool = self.spool / "view"
        spool.mkdir()
        source = Source(self.store, manifest, entries, spool, config.processes)
        with closing(self.place.engine()) as engine:
            return make_view(engine, source, VIEW, self._rules(), seed=config.seed, reading=reading_of(config))

    def _extend(
        self,
        base: Base,
        dealt: Dealt,
        packed: list[Packed],
        entries: list[ShardEntry],
        denied: Denied,
        evaluation: EvaluationSets,
        counts: SetCounts,
    ) -> Report:
        """The end of a run that extends: the views of the next generation, its commit, and its report."""
        config = self.config
        totals = totals_of(packed)
        generation = Generation(base, config, denied, self.spool, self.place.engine)
        with self._stage("label"):
            manifest = base.put_manifest(entries)
            run = self._lineage(dealt, denied, evaluation) | {"samples": totals["samples"]}
            next_ = partial(extended, base, manifest=manifest, totals=totals, run=run)
            corpus = generation.label(next_)
        labelled = generation.labelled.get(VIEW, Labelled(Named("", ""), Vocabulary(())))
        report = self._reported(dealt, packed, entries, labelled, counts)
        self.store.put(NEW_REPORT, dataclasses.replace(report, totals=corpus.file.totals).json())
        if not config.keep_parts:
            self.store.put(CLOSING, json.dumps(closing_of(config, base.runs + 1)).encode())
        generation.commit(next_, corpus)
        return _finished(self.store)

    def _lineage(self, dealt: Dealt, denied: Denied, evaluation: EvaluationSets) -> dict[str, Any]:
        """What the corpus says of this run."""
        order = "input" if self.config.keep_order else "hash"
        run = {"config_sha256": self.config.digest(), "inputs": dealt.inputs, "order": order, "rows": dealt.rows}
        held = {"evaluation_sha256": evaluation.digest} if evaluation else {}
        return run | _told(denied) | held | self._stacks()

    def _rules(self) -> ViewRules:
        cuts = VocabularyRules(self.config.vocabulary, self.config.min_count, self.config.top_k)
        match = MatchRules(self.config.rule, short_tokens=self.config.short_tokens, entities=cuts.entities())
        return ViewRules(match, cuts, max_labels=self.config.max_labels)

    def _reported(
        self, dealt: Dealt, packed: list[Packed], entries: list[ShardEntry], labelled: Labelled, counts: SetCounts
    ) -> Report:
        rejects: Counter[str] = Counter()
        for group in packed:
            rejects.update(group.rejects)
        top = sorted(labelled.vocabulary.labels, key=lambda label: (-label.images, label.id))[:TOP_LABELS]
        return Report(
            name=self.base.corpus.file.name if self.base else self.config.name,
            output=self.config.output,
            rows=dealt.rows,
            samples={split: sum(e.samples for e in entries if e.split == split) for split in SPLITS},
            rejects=commonest(rejects),
            duplicates=rejects["duplicate"],
            shards=len(entries),
            shard_bytes=sum(entry.bytes for entry in entries),
            labels=len(labelled.vocabulary),
            tags=labelled.tags,
            tags_matched_share=round(labelled.tags_matched / labelled.tags, 4) if labelled.tags else 0.0,
            unlabelled=labelled.unlabelled,
            labels_cut=labelled.labels_cut,
            top_labels=tuple(TopLabel(label.name, label.lemmas, label.images, label.synsets) for label in top),
            seconds={stage: round(seconds, 2) for stage, seconds in self.seconds.items()},
            image_stack=image_stack(),
            code_version=version("tagmill"),
            skipped=sum(file.get("skipped", 0) for file in dealt.inputs),
            fetched_bytes=self.traffic.size,
            slowest_hosts=self.traffic.slowest,
            sets=counts,
            few_labels=labelled.few_labels,
        )

    def _commit(
        self,
        report: Report,
        dealt: Dealt,
        packed: list[Packed],
        manifest: Named,
        labelled: Labelled,
        denied: Denied,
        evaluation: EvaluationSets,
    ) -> None:
        """Makes the corpus visible, then removes the parts; a run that is killed in between is finished by the next."""
        config = self.config
        corpus = CorpusFile(
            name=config.name,
            manifest=manifest,
            totals=totals_of(packed),
            views={VIEW: labelled.view},
            image_policy=config.image_policy(),
            image_stack=report.image_stack,
            seed=config.seed,
            code_version=report.code_version,
            lineage=[self._lineage(dealt, denied, evaluation)],
        )
        if not config.keep_parts:
            self.store.put(CLOSING, json.dumps(closing_of(config, 1)).encode())
        commit(self.store, corpus)
        clear(self.store)

    def _check_sum(self, found: int, dealt: Dealt, what: str) -> None:
        """rows in = samples + rejects, or there is no corpus."""
        if found != dealt.rows:
            remedy = f"nothing was committed: {self._anew}, and report this"
            raise CorpusError(f"{dealt.rows} rows came in, {what} are {found}", self.config.output, remedy)

    @property
    def _anew(self) -> str:
        """How to begin once more."""
        return "remove the folder parts there and run it again" if self.base else "remove the output and start over"

    @contextmanager
    def _stage(self, name: str, total: int | None = None) -> Iterator[None]:
        self.progress.stage(name, total)
        begun = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begun


def _told(denied: Denied) -> dict[str, str]:
    return {"takedown_sha256": denied.digest} if denied else {}


def _in_corpus_order(packed: list[Packed]) -> list[ShardEntry]:
    """Train shards by number, held-out ones last: groups come in this order."""
    return [entry for group in packed for entry in group.entries]


def _finish(store: Store, config: IngestConfig) -> Report:
    """A corpus is there already: this run's own, killed while it cleared up, or another."""
    ours = store.exists(CLOSING) and json.loads(store.read(CLOSING)) == closing_of(config, 1)
    if not ours:
        remedy = "choose another output, add to this corpus with --extend, or remove it"
        raise CorpusError("there is a corpus here already", store.url, remedy)
    return _finished(store)


def _finished(store: Store) -> Report:
    """The report of a run whose generation is there; what is left to do after its commit is done."""
    if store.exists(NEW_REPORT):
        store.put(REPORT, store.read(NEW_REPORT))
    report = Report.parse(store.read(REPORT))
    clear(store)
    return report
