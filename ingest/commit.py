"""The last two stages of a run: label (manifest and views) and commit (report, `corpus.json`, and the end of `parts/`)."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dedup.decontamination import LEAKS
from tagmill.ingest.dedup.evaluation_pictures import evaluation_pictures
from tagmill.ingest.dedup.resolve import SetCounts
from tagmill.ingest.extend.base_corpus import Base, clear, closing_mark, extended
from tagmill.ingest.extend.generation import Generation
from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.ingest.labels.matching import MatchRules
from tagmill.ingest.labels.vocabulary_rules import VocabularyRules
from tagmill.ingest.layout import CLOSING_MARKER, INPUTS_FILE, NEW_PICTURES, NEW_REPORT
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.pack.kept_pictures import kept_of_groups
from tagmill.ingest.pack.write_shards import PackedGroup, totals_of
from tagmill.ingest.parts.first_look import reading_of
from tagmill.ingest.parts.partition import PartitionManifest
from tagmill.ingest.pins import Pinned
from tagmill.ingest.reasons import commonest
from tagmill.ingest.redo import begin_labelling
from tagmill.ingest.report import REPORT_FILE, TOP_LABELS, TOP_TOKENS, Report, TopLabel
from tagmill.ingest.run_context import RunContext
from tagmill.ingest.views.build import DEFAULT_VIEW, CorpusSource, Labelled, make_view
from tagmill.ingest.views.recipe import ViewRules
from tagmill.shards.errors import CorpusError
from tagmill.shards.exchange.descriptions import describe_commit
from tagmill.shards.formats.report_pictures import PICTURES, REPORT_PICTURES, pictures_bytes, read_pictures_file
from tagmill.shards.input_table import put_inputs
from tagmill.shards.manifest import SPLITS, Corpus, CorpusFile, Named, ShardEntry, commit, put_manifest
from tagmill.shards.side_tables import label
from tagmill.shards.storage.store import Store
from tagmill.shards.terminal.advice import RARE_IMAGES
from tagmill.shards.vocabulary import Label, Vocabulary


@dataclass(frozen=True)
class NewCorpus:
    """What a run has made when all groups are packed."""

    manifest: PartitionManifest
    groups: list[PackedGroup]
    pinned: Pinned
    set_counts: SetCounts
    compared: int | None = None  # rows whose digest in the list was compared; None: the list has none
    altered: int = 0  # of them, with another image that is kept

    @cached_property
    def entries(self) -> list[ShardEntry]:
        """Its shards in the order of the corpus: by number, held-out ones last. Groups are in this order."""
        return [entry for group in self.groups for entry in group.entries]


def default_view_rules(config: IngestConfig) -> ViewRules:
    """Returns how the view `default` is made."""
    cuts = VocabularyRules(config.vocabulary, config.min_count, config.top_k)
    match = MatchRules(config.rule, short_tokens=config.short_tokens, entities=cuts.entities())
    return ViewRules(match, cuts, max_labels=config.max_labels)


def create_corpus(run: RunContext, new: NewCorpus) -> Report:
    """Labels and commits a corpus where there was none; a run that is killed after the commit is finished by the next."""
    config, store = run.config, run.store
    with run.stage("label"):
        note = begin_labelling(store)
        manifest = put_manifest(store, new.entries, note)
        lineage = _lineage(config, store, new, note)
        spool = run.spool / "view"
        spool.mkdir()
        source = CorpusSource(store, manifest, new.entries, spool, config.processes)
        with closing(run.executor.engine()) as engine:
            labelled = make_view(
                *(engine, source, DEFAULT_VIEW, default_view_rules(config)),
                seed=config.seed,
                reading=reading_of(config),
                note=note,
                progress=run.progress,
            )
    report = _report(run, config.name, new, labelled)
    store.put(REPORT_FILE, report.json())
    _put_pictures(store, _pictures(run, new))
    corpus = CorpusFile(
        name=config.name,
        manifest=manifest,
        totals=totals_of(new.groups),
        views={DEFAULT_VIEW: labelled.view},
        image_policy=config.image_policy(),
        image_stack=report.image_stack,
        seed=config.seed,
        code_version=report.code_version,
        lineage=[lineage],
    )
    _put_closing(config, store, 1)
    commit(store, corpus)
    describe_commit(store.url)
    clear(store)
    return report


def extend_corpus(run: RunContext, base: Base, new: NewCorpus) -> Report:
    """Labels and commits the next generation of the corpus: every view is made again for it."""
    config, store = run.config, run.store
    totals = totals_of(new.groups)
    with run.stage("label"):
        note = begin_labelling(store)
        generation = Generation(
            base, config, new.pinned.forbidden.denied, run.spool, run.executor.engine, note, run.progress
        )
        manifest = base.put_manifest(new.entries, note)
        lineage = _lineage(config, store, new, note) | {"samples": totals["samples"]}
        next_file = partial(extended, base, manifest=manifest, totals=totals, run=lineage)
        corpus = generation.label(next_file)
    labelled = generation.labelled.get(DEFAULT_VIEW, Labelled(Named("", ""), Vocabulary(())))
    report = _report(run, base.corpus.file.name, new, labelled)
    store.put(NEW_PICTURES, _pictures(run, new) or b"")
    store.put(NEW_REPORT, dataclasses.replace(report, totals=corpus.file.totals).json())
    _put_closing(config, store, base.runs + 1)
    generation.commit(next_file, corpus)
    return finished(store)


def finish(store: Store, config: IngestConfig) -> Report:
    """Finishes a run that was killed after its commit. Raises CorpusError where the corpus is not of this run."""
    ours = store.exists(CLOSING_MARKER) and json.loads(store.read(CLOSING_MARKER)) == closing_mark(config, 1)
    if not ours:
        remedy = "choose another output, add to this corpus with --extend, or remove it"
        raise CorpusError("there is a corpus here already", store.url, remedy)
    return finished(store)


def finished(store: Store) -> Report:
    """Does what is left after a commit, and returns the report of the run."""
    if store.exists(NEW_REPORT):
        store.put(REPORT_FILE, store.read(NEW_REPORT))
        _put_pictures(store, _allowed(store, read_if_there(store, NEW_PICTURES)))
    report = Report.parse(store.read(REPORT_FILE))
    describe_commit(store.url)
    clear(store)
    return report


def _pictures(run: RunContext, new: NewCorpus) -> bytes | None:
    """Returns the small images for the report of the run; None where it has none."""
    labels = [group.pictures for group in new.groups if group.pictures]
    leaks = f"{label(run.base.runs if run.base else 0, LEAKS)}.parquet"
    evaluation = evaluation_pictures(run.config, run.store, leaks) if run.config.evaluation_set else []
    rows = [*kept_of_groups(run.store, labels), *evaluation]
    denied = new.pinned.forbidden.denied
    shown = [row for row in rows if not denied.picture({**dict.fromkeys(PICTURES.names), **row})]
    return pictures_bytes(shown) if shown else None


def _allowed(store: Store, pictures: bytes | None) -> bytes | None:
    """Returns the small images without what was taken down since they were chosen; None where none is left."""
    denied = Denylist.of(Corpus.open(store.url).takedown)
    rows = [row for row in read_pictures_file(pictures) if not denied.picture(row)] if pictures else []
    return pictures_bytes(rows) if rows else None


def _put_pictures(store: Store, pictures: bytes | None) -> None:
    """Replaces the small images of an earlier run, or of a start of this one, by those of this run."""
    if pictures:
        store.put(REPORT_PICTURES, pictures)
    else:
        store.delete(REPORT_PICTURES)


def _lineage(config: IngestConfig, store: Store, new: NewCorpus, note: Callable[[str], None]) -> dict[str, Any]:
    """Puts the table of the run's input files, and returns what `corpus.json` says of the run."""
    return {
        "config_sha256": config.digest(),
        **put_inputs(store, store.read(INPUTS_FILE), new.manifest.inputs, note),
        "order": "input" if config.keep_order else "hash",
        "rows": new.manifest.rows,
        **new.pinned.lineage(),
    }


def _put_closing(config: IngestConfig, store: Store, runs: int) -> None:
    """Notes right before the commit whether `parts/` may be deleted after it."""
    if config.keep_parts:
        store.delete(CLOSING_MARKER)  # of a killed run that would not have kept them
    else:
        store.put(CLOSING_MARKER, json.dumps(closing_mark(config, runs)).encode())


def _report(run: RunContext, name: str, new: NewCorpus, labelled: Labelled) -> Report:
    """The report of a run; `name` is the corpus's."""
    rejects: Counter[str] = Counter()
    for group in new.groups:
        rejects.update(group.rejects)
    top = sorted(labelled.vocabulary.labels, key=lambda label: (-label.images, label.id))[:TOP_LABELS]
    return Report(
        name=name,
        output=run.config.output,
        rows=new.manifest.rows,
        samples={split: sum(e.samples for e in new.entries if e.split == split) for split in SPLITS},
        rejects=commonest(rejects),
        duplicates=rejects["duplicate"],
        shards=len(new.entries),
        shard_bytes=sum(entry.bytes for entry in new.entries),
        labels=len(labelled.vocabulary),
        tags=labelled.tags,
        tags_matched_share=round(labelled.tags_matched / labelled.tags, 4) if labelled.tags else 0.0,
        unlabelled=labelled.unlabelled,
        labels_cut=labelled.labels_cut,
        top_labels=tuple(map(_top_label, top)),
        seconds={stage: round(took, 2) for stage, took in run.seconds.items()},
        image_stack=new.pinned.image_stack,
        code_version=version("tagmill"),
        skipped=new.manifest.inputs.skipped,
        fetched_bytes=run.fetched.size,
        slowest_hosts=run.fetched.slowest,
        sets=new.set_counts,
        few_labels=labelled.few_labels,
        compared=new.compared,
        altered=new.altered,
        rare_labels=sum(label.images < RARE_IMAGES for label in labelled.vocabulary.labels),
    )


def _top_label(label: Label) -> TopLabel:
    tokens = commonest(dict(label.tokens), TOP_TOKENS)
    return TopLabel(label.name, label.lemmas, label.images, label.synsets, tokens)
