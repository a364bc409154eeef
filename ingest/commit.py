"""The end of a run: what the corpus and the report say of it, the commit, and what is cleared up after it."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dedup.decontamination import EvaluationSets
from tagmill.ingest.dedup.resolve import SetCounts
from tagmill.ingest.extend.base_corpus import Base, clear
from tagmill.ingest.extend.base_corpus import closing as closing_of
from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.ingest.image_stacks import stack_of, stacks_of
from tagmill.ingest.labels.matching import MatchRules
from tagmill.ingest.labels.vocabulary_rules import VocabularyRules
from tagmill.ingest.layout import CLOSING_MARKER, NEW_REPORT
from tagmill.ingest.pack.write_shards import PackedGroup, totals_of
from tagmill.ingest.parts.partition import PartitionManifest
from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.reasons import commonest
from tagmill.ingest.report import REPORT_FILE as REPORT
from tagmill.ingest.report import TOP_LABELS, Report, TopLabel
from tagmill.ingest.views.build import DEFAULT_VIEW as VIEW
from tagmill.ingest.views.build import Labelled
from tagmill.ingest.views.recipe import ViewRules
from tagmill.shards.errors import CorpusError
from tagmill.shards.manifest import SPLITS, CorpusFile, Named, ShardEntry, commit
from tagmill.shards.storage.store import Store


@dataclass(frozen=True)
class NewCorpus:
    """What a run has made when all is packed."""

    dealt: PartitionManifest
    packed: list[PackedGroup]
    denied: Denylist
    evaluation: EvaluationSets
    counts: SetCounts

    @cached_property
    def entries(self) -> list[ShardEntry]:
        """Its shards in the order of the corpus: by number, held-out ones last. Groups come in this order."""
        return [entry for group in self.packed for entry in group.entries]


def rules(config: IngestConfig) -> ViewRules:
    """What the view `default` is made by."""
    cuts = VocabularyRules(config.vocabulary, config.min_count, config.top_k)
    match = MatchRules(config.rule, short_tokens=config.short_tokens, entities=cuts.entities())
    return ViewRules(match, cuts, max_labels=config.max_labels)


def lineage(config: IngestConfig, store: Store, run: NewCorpus, base: Base | None = None) -> dict[str, Any]:
    """What the corpus says of a run."""
    dealt, order = run.dealt, "input" if config.keep_order else "hash"
    told = {"config_sha256": config.digest(), "inputs": dealt.inputs, "order": order, "rows": dealt.rows}
    denied = {"takedown_sha256": run.denied.digest} if run.denied else {}
    held = {"evaluation_sha256": run.evaluation.digest} if run.evaluation else {}
    return told | denied | held | stacks_of(store, base.corpus.file if base else None)


def reported(
    config: IngestConfig,
    store: Store,
    name: str,
    run: NewCorpus,
    labelled: Labelled,
    seconds: Mapping[str, float],
    traffic: FetchStats,
) -> Report:
    """What happened, in numbers; `name` is the corpus's."""
    rejects: Counter[str] = Counter()
    for group in run.packed:
        rejects.update(group.rejects)
    top = sorted(labelled.vocabulary.labels, key=lambda label: (-label.images, label.id))[:TOP_LABELS]
    return Report(
        name=name,
        output=config.output,
        rows=run.dealt.rows,
        samples={split: sum(e.samples for e in run.entries if e.split == split) for split in SPLITS},
        rejects=commonest(rejects),
        duplicates=rejects["duplicate"],
        shards=len(run.entries),
        shard_bytes=sum(entry.bytes for entry in run.entries),
        labels=len(labelled.vocabulary),
        tags=labelled.tags,
        tags_matched_share=round(labelled.tags_matched / labelled.tags, 4) if labelled.tags else 0.0,
        unlabelled=labelled.unlabelled,
        labels_cut=labelled.labels_cut,
        top_labels=tuple(TopLabel(label.name, label.lemmas, label.images, label.synsets) for label in top),
        seconds={stage: round(took, 2) for stage, took in seconds.items()},
        image_stack=stack_of(store),
        code_version=version("tagmill"),
        skipped=sum(file.get("skipped", 0) for file in run.dealt.inputs),
        fetched_bytes=traffic.size,
        slowest_hosts=traffic.slowest,
        sets=run.counts,
        few_labels=labelled.few_labels,
    )


def commit_first(
    config: IngestConfig, store: Store, run: NewCorpus, report: Report, manifest: Named, labelled: Labelled
) -> None:
    """Makes a corpus visible, then removes the parts; a run that is killed in between is finished by the next."""
    corpus = CorpusFile(
        name=config.name,
        manifest=manifest,
        totals=totals_of(run.packed),
        views={VIEW: labelled.view},
        image_policy=config.image_policy(),
        image_stack=report.image_stack,
        seed=config.seed,
        code_version=report.code_version,
        lineage=[lineage(config, store, run)],
    )
    close(config, store, 1)
    commit(store, corpus)
    clear(store)


def close(config: IngestConfig, store: Store, runs: int, report: Report | None = None) -> None:
    """The last step before a commit: whether the parts may go after it, and the report that takes the place of an older one
    then."""
    if report is not None:
        store.put(NEW_REPORT, report.json())
    if config.keep_parts:
        store.delete(CLOSING_MARKER)  # of a run that was killed and would not have kept them
    else:
        store.put(CLOSING_MARKER, json.dumps(closing_of(config, runs)).encode())


def finish(store: Store, config: IngestConfig) -> Report:
    """A corpus is there already: this run's own, killed while it cleared up, or another."""
    ours = store.exists(CLOSING_MARKER) and json.loads(store.read(CLOSING_MARKER)) == closing_of(config, 1)
    if not ours:
        remedy = "choose another output, add to this corpus with --extend, or remove it"
        raise CorpusError("there is a corpus here already", store.url, remedy)
    return finished(store)


def finished(store: Store) -> Report:
    """The report of a run whose generation is there; what is left to do after its commit is done."""
    if store.exists(NEW_REPORT):
        store.put(REPORT, store.read(NEW_REPORT))
    report = Report.parse(store.read(REPORT))
    clear(store)
    return report
