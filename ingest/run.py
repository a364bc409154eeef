"""The whole way from a list of URLs to a corpus: the stages in their order, and the one commit at the end.

Every stage leaves its result in the store under `parts/` and finds it there again, so that a run which was killed goes on
where it stopped and ends with the same bytes. Readers see no corpus before `corpus.json` is there.
"""

import dataclasses
import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from tagmill.ingest.config import IngestConfig
from tagmill.ingest.deal import Dealt, deal
from tagmill.ingest.denied import Denied, read_denied
from tagmill.ingest.engine import Parquet, parquet_of
from tagmill.ingest.images import image_stack
from tagmill.ingest.matching import MatchRules
from tagmill.ingest.pack import Packed, PackTask, plan_groups
from tagmill.ingest.part import DENIED, PART, PartSummary, attempt_file, done_file, run_parts
from tagmill.ingest.progress import Progress, Silent
from tagmill.ingest.proxy import SAYS as PROXY_SAYS
from tagmill.ingest.proxy import Proxies
from tagmill.ingest.reasons import Reason
from tagmill.ingest.report import NAME as REPORT
from tagmill.ingest.report import TOP_LABELS, Report, TopLabel, commonest
from tagmill.ingest.robots_stage import ask_hosts, find_hosts
from tagmill.ingest.select import select
from tagmill.ingest.sources import check as check_sources
from tagmill.ingest.sources import extra_schema
from tagmill.ingest.views import NAME as VIEW
from tagmill.ingest.views import Labelled, Source, ViewRules, make_view
from tagmill.ingest.vocabularies import VocabularyRules
from tagmill.ingest.waits import Traffic
from tagmill.ingest.workplace import Workplace, workplace
from tagmill.shards.disk import full_disks
from tagmill.shards.errors import ConfigError, CorpusError, TagmillError
from tagmill.shards.manifest import SPLITS, CorpusFile, Named, ShardEntry, commit, put_manifest
from tagmill.shards.store import Store

log = logging.getLogger(__name__)

STACK = "parts/stack.json"  # who makes the pictures, and with which version of this code
CLOSING = "parts/closing.json"  # once corpus.json is there, the parts may go
FACTS = [
    *("row_id", "part", "place", "tags", "reason", "key"),
    *("original_width", "original_height", "sample_bytes", "holdout_order"),
]


def ingest(config: IngestConfig, progress: Progress | None = None) -> Report:
    """Turns the input of `config` into a corpus at its output, with the view `default`, and says what happened.

    A run that was killed is taken up where it stopped, under the same config and image stack. Raises TagmillError for
    whatever keeps the corpus from being whole; there is no `corpus.json` then.
    """
    store = Store(config.output)
    if store.exists("corpus.json"):
        return _finish(store, config)
    with full_disks(config.spool), _spool(config) as spool:
        config = dataclasses.replace(config, spool=str(spool))
        with closing(workplace(config, spool / "engine")) as place:
            return _Run(config, store, spool, progress or Silent(), place).report()


@dataclass
class _Run:
    """One run and what its stages share."""

    config: IngestConfig
    store: Store
    spool: Path
    progress: Progress
    place: Workplace
    seconds: dict[str, float] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)

    def report(self) -> Report:
        """All stages in their order."""
        self._rules().vocabulary.listed()  # a file that cannot be read is found before anything is written
        if Proxies.from_environment() and not self.config.allow_private:
            log.warning(PROXY_SAYS)
        self._check_stack()
        denied = self._pin_denied()
        with self._stage("deal"):
            dealt = deal(self.config, self.store, self.spool)
        if self.config.honour_robots:
            self._robots(dealt)
        with self._stage("fetch", dealt.rows):
            budget = _Budget(self.progress, dealt.rows, self.config.failure_budget, self.config.output)
            parts = run_parts(self.config, self.store, dealt.num_parts, budget, self.place.parts)
            budget.check(done=True)
            self.traffic = budget.traffic
        facts = self._facts(parts)
        with self._stage("select"):
            self._select(facts, dealt)
        with self._stage("pack", dealt.rows):
            packed = self._pack(parts, dealt)
        with self._stage("label"):
            entries = _in_corpus_order(packed)
            manifest = put_manifest(self.store, entries)
            labelled = self._label(manifest, entries)
        report = self._reported(dealt, packed, entries, labelled)
        self.store.put(REPORT, report.json())
        self._commit(report, dealt, manifest, labelled, denied)
        return report

    def _check_stack(self) -> None:
        """Refuses a run whose pictures were begun by other code: their bytes would differ."""
        check_sources(self.config)  # a list that cannot be read is found before anything is written
        mine = {"image_stack": image_stack(), "code_version": version("tagmill")}
        if not self.store.put_new(STACK, json.dumps(mine, sort_keys=True).encode()):
            theirs = json.loads(self.store.read(STACK))
            if theirs != mine:
                what = f"begun with {theirs}, this machine has {mine}"
                remedy = "go on with the same versions, or remove the output and start over"
                raise ConfigError(what, self.config.output, remedy)

    def _pin_denied(self) -> Denied:
        """Puts what the takedown lists forbid where the workers find it, and refuses a run that was begun under other rules."""
        denied = read_denied(self.config.takedown)
        if not self.store.put_new(DENIED, denied.json()) and Denied.parse(self.store.read(DENIED)) != denied:
            remedy = "give the lists of the run that began it, as they were, or another output"
            raise ConfigError("begun with other takedown lists", self.config.output, remedy)
        return denied

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

    def _select(self, facts: Parquet, dealt: Dealt) -> None:
        with closing(self.place.engine()) as engine:
            selected = select(
                engine,
                self.store,
                facts,
                num_parts=dealt.num_parts,
                parts_per_group=self.config.parts_per_group,
                holdout=self.config.holdout,
                spool=self.spool,
            )
        self._check_sum(selected.rows, dealt, "the selection")

    def _pack(self, parts: list[PartSummary], dealt: Dealt) -> list[Packed]:
        config = self.config
        groups = plan_groups(
            self.store,
            num_parts=dealt.num_parts,
            parts_per_group=config.parts_per_group,
            max_samples=config.shard_samples,
            max_bytes=config.shard_bytes,
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
            return make_view(engine, source, VIEW, self._rules(), seed=config.seed)

    def _rules(self) -> ViewRules:
        cuts = VocabularyRules(self.config.vocabulary, self.config.min_count, self.config.top_k)
        return ViewRules(MatchRules(self.config.rule), cuts, max_labels=self.config.max_labels)

    def _reported(self, dealt: Dealt, packed: list[Packed], entries: list[ShardEntry], labelled: Labelled) -> Report:
        rejects: Counter[str] = Counter()
        for group in packed:
            rejects.update(group.rejects)
        top = labelled.vocabulary.labels[:TOP_LABELS]
        return Report(
            name=self.config.name,
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
            top_labels=tuple(TopLabel(label.name, label.lemmas, label.images) for label in top),
            seconds={stage: round(seconds, 2) for stage, seconds in self.seconds.items()},
            image_stack=image_stack(),
            code_version=version("tagmill"),
            skipped=sum(file.get("skipped", 0) for file in dealt.inputs),
            fetched_bytes=self.traffic.size,
            slowest_hosts=self.traffic.slowest,
        )

    def _commit(self, report: Report, dealt: Dealt, manifest: Named, labelled: Labelled, denied: Denied) -> None:
        """Makes the corpus visible, then removes the parts; a run that is killed in between is finished by the next."""
        config = self.config
        totals = {
            "rows": report.rows,
            "samples": sum(report.samples.values()),
            **report.samples,
            "rejects": sum(report.rejects.values()),
            "shards": report.shards,
            "bytes": report.shard_bytes,
        }
        how = {"order": "input" if config.keep_order else "hash", "rows": dealt.rows}
        corpus = CorpusFile(
            name=config.name,
            manifest=manifest,
            totals=totals,
            views={VIEW: labelled.view},
            image_policy=config.image_policy(),
            image_stack=report.image_stack,
            seed=config.seed,
            code_version=report.code_version,
            lineage=[{"config_sha256": config.digest(), "inputs": dealt.inputs, **how, **_told(denied)}],
        )
        if not config.keep_parts:
            self.store.put(CLOSING, json.dumps({"config_sha256": config.digest()}).encode())
        commit(self.store, corpus)
        _clear(self.store)

    def _check_sum(self, found: int, dealt: Dealt, what: str) -> None:
        """rows in = samples + rejects, or there is no corpus."""
        if found != dealt.rows:
            remedy = "nothing was committed: remove the output and start over, and report this"
            raise CorpusError(f"{dealt.rows} rows came in, {what} are {found}", self.config.output, remedy)

    @contextmanager
    def _stage(self, name: str, total: int | None = None) -> Iterator[None]:
        self.progress.stage(name, total)
        begun = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begun


class _Budget:
    """Passes progress on, and stops the run as soon as more rows have failed than may."""

    def __init__(self, progress: Progress, rows: int, share: float, where: str) -> None:
        self._progress, self._rows, self._share, self._where = progress, rows, share, where
        self._counts: Counter[str] = Counter()
        self.traffic = Traffic()

    def stage(self, name: str, total: int | None = None) -> None:
        self._progress.stage(name, total)

    def advance(self, n: int, **counts: int) -> None:
        self._progress.advance(n, **counts)
        self._counts.update(counts)
        self.check()

    def fetched(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self._progress.fetched(traffic)

    def check(self, *, done: bool = False) -> None:
        """Raises TagmillError beyond the budget; at the end also where nothing is left to make a corpus of. What was taken
        down is no failure."""
        reasons = {reason: count for reason, count in self._counts.items() if reason not in ("ok", Reason.TAKEN_DOWN)}
        failed = sum(reasons.values())
        if failed > self._share * self._rows or (done and not self._counts["ok"]):
            top = ", ".join(f"{reason} {count}" for reason, count in commonest(reasons, 3).items())
            what = f"{failed} of {self._rows} rows failed, the budget is {self._share:.0%}: {top}"
            remedy = "mend the list or the network and choose another output, or raise failure_budget and run again"
            raise TagmillError(what, self._where, remedy)


def _told(denied: Denied) -> dict[str, str]:
    return {"takedown_sha256": denied.digest} if denied else {}


def _in_corpus_order(packed: list[Packed]) -> list[ShardEntry]:
    """Train shards by number, held-out ones last: groups come in this order."""
    return [entry for group in packed for entry in group.entries]


@contextmanager
def _spool(config: IngestConfig) -> Iterator[Path]:
    """A scratch folder of this run on a local disk, gone afterwards."""
    try:
        if config.spool:
            Path(config.spool).mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="tagmill-", dir=config.spool, ignore_cleanup_errors=True)
    except OSError as error:
        where = config.spool or tempfile.gettempdir()
        raise ConfigError(f"cannot write here: {error.strerror}", where, "give another spool folder") from error
    with folder as path:
        yield Path(path)


def _finish(store: Store, config: IngestConfig) -> Report:
    """A corpus is there already: this run's own, killed while it cleared up, or another."""
    ours = store.exists(CLOSING) and json.loads(store.read(CLOSING)) == {"config_sha256": config.digest()}
    if not ours:
        raise CorpusError("there is a corpus here already", store.url, "choose another output, or remove this corpus")
    report = Report.parse(store.read(REPORT))
    _clear(store)
    return report


def _clear(store: Store) -> None:
    """Removes the parts of a committed corpus, the mark that they may go last; does nothing where they are kept."""
    if store.exists(CLOSING):
        for name in store.names("parts"):
            if name != CLOSING:
                store.delete(name)
        store.delete_below("parts")
