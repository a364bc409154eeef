"""An ingest, from lists of URLs to a corpus: the stages in order, and what each leaves in the output.

stage        file                         leaves
-----------  ---------------------------  -----------------------------------------------------------------------------
(pin)        pins.py                      parts/takedown.json, blocklist.txt, stack.json: what a resumed run must agree with
partition    parts/partition.py           parts/NNNNNN/rows.parquet: the rows in random partitions; parts/dealt.json
             parts/known_urls.py          parts/NNNNNN/known.parquet: URLs that the extended corpus has; parts/known.json
hosts        hosts/robots.py              parts/robots/hosts/: each host once, in tasks
robots       hosts/robots.py              parts/robots/rules/: the answers of a partition's hosts
fetch        parts/run.py, parts/make.py  parts/NNNNNN/<attempt>.parquet: rows with JPEGs; <attempt>.facts.parquet: what
                                          set work needs of them; parts/NNNNNN/done.json
select       dedup/selection.py           parts/selection/: what becomes of each row; decontamination.parquet
pack         pack/write_shards.py         shards/, rejects/, ledger/; parts/packed/: a marker for each group, held-out rows
label        commit.py, views/build.py    manifests/, views/
(commit)     commit.py                    report.json, corpus.json; deletes parts/

A stage that finds its result in the store skips the work, so a run that was killed goes on where it stopped and ends
with the same bytes. Where flags of a later stage have changed, redo.py deletes what that stage left. layout.py explains
every name below `parts/`. Readers see no corpus before `corpus.json` is there.
"""

import dataclasses
import logging
from contextlib import closing
from functools import partial
from pathlib import Path

import pyarrow as pa

from tagmill.ingest.commit import NewCorpus, create_corpus, default_view_rules, extend_corpus, finish, finished
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.memory import bytes_of, shared
from tagmill.ingest.dedup.decontamination import LEAKS
from tagmill.ingest.dedup.existing_samples import existing_rows, existing_table
from tagmill.ingest.dedup.placeholders import TAGGED
from tagmill.ingest.dedup.resolve import SetRules
from tagmill.ingest.dedup.selection import Selected, select
from tagmill.ingest.engines.engine import TableSource, parquet_of
from tagmill.ingest.executor import open_executor
from tagmill.ingest.extend.base_corpus import Base, begin, is_done
from tagmill.ingest.extend.generation import check_views
from tagmill.ingest.extend.known_in_tasks import partition_known_in_tasks
from tagmill.ingest.filters.listed_digests import listed_fields
from tagmill.ingest.hosts.hosts_in_tasks import find_hosts_in_tasks
from tagmill.ingest.hosts.robots import ask_hosts, find_hosts
from tagmill.ingest.http.proxy import PROXY_WARNING, Proxies
from tagmill.ingest.layout import attempt_file, facts_file
from tagmill.ingest.pack.kept_pictures import key_limits
from tagmill.ingest.pack.shard_plan import NOTHING_BEFORE, check_partitions
from tagmill.ingest.pack.write_shards import PackedGroup, PackTask, pack_all, plan_groups
from tagmill.ingest.parts.first_look import FirstLook
from tagmill.ingest.parts.known_urls import partition_known
from tagmill.ingest.parts.make import PartSummary
from tagmill.ingest.parts.partition import PartitionManifest, check_layout, partition
from tagmill.ingest.parts.row_groups import StoredTable
from tagmill.ingest.parts.run import all_done, run_parts
from tagmill.ingest.parts.table import PART_FACTS
from tagmill.ingest.pins import Pinned, pin
from tagmill.ingest.progress.failure_budget import FailureBudget
from tagmill.ingest.redo import begin_packing, pack_stamp, select_stamp
from tagmill.ingest.report import Report
from tagmill.ingest.restart_interval import with_interval
from tagmill.ingest.run_context import RunContext
from tagmill.ingest.scratch import spool_folder
from tagmill.ingest.sole_run.holding import sole_run
from tagmill.ingest.sources.inputs import inputs
from tagmill.ingest.sources.rows import check as check_sources
from tagmill.ingest.sources.rows import extra_schema
from tagmill.shards.manifest import CORPUS, Corpus
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.side_tables import label
from tagmill.shards.storage.local_disk import full_disks
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)


def ingest(config: IngestConfig, progress: Progress | None = None) -> Report:
    """Makes a corpus with the view `default` at the output of `config`, or extends the one that is there; returns the
    report.

    A run that was killed is resumed. Fetched images are kept under the same flags of fetching, and under the same image
    stack while images are missing; where flags of later stages changed, these stages are done again. Raises
    TagmillError where the corpus cannot be completed; no `corpus.json` is written then.
    """
    store = Store(config.output)
    config, base = with_interval(config, store), None
    if config.extend:
        if is_done(config, store):
            return finished(store)
        check_views(config, Corpus.open(config.output))
        base = begin(config, store)
    elif store.exists(CORPUS):
        return finish(store, config)
    with full_disks(config.spool), spool_folder(config.spool) as spool:
        config = dataclasses.replace(config, spool=str(spool))
        with closing(open_executor(config, spool / "engine")) as executor:
            return _stages(RunContext(config, store, spool, progress or Silent(), executor, base))


def _stages(run: RunContext) -> Report:
    check_layout(run.store, run.start_over)
    _check_inputs(run.config)
    with sole_run(run.store) as run.check_alone:
        if run.base is None and run.store.exists(CORPUS):  # another run has ended since
            return finish(run.store, run.config)
        return _stages_alone(run)


def _stages_alone(run: RunContext) -> Report:
    pinned = pin(run.config, run.store, run.base, run.start_over)
    manifest = _partition(run)
    _ask_hosts(run, manifest)
    parts = _fetch(run, manifest)
    selected = _select(run, manifest, pinned, parts)
    groups = _pack(run, manifest, parts, selected)
    compared = sum(part.compared for part in parts) if listed_fields(run.config) else None
    new = NewCorpus(manifest, groups, pinned, selected.counts, compared, sum(part.altered for part in parts))
    return extend_corpus(run, run.base, new) if run.base else create_corpus(run, new)


def _check_inputs(config: IngestConfig) -> None:
    """Raises ConfigError for inputs that cannot be read, before anything is written."""
    default_view_rules(config).vocabulary.file_labels()
    if Proxies.from_environment() and not config.allow_private:
        log.warning(PROXY_WARNING)
    check_sources(config)


def _partition(run: RunContext) -> PartitionManifest:
    config, base = run.config, run.base
    with run.stage("partition"), FirstLook(config, default_view_rules(config).match) as look:
        first_file, tasks = base.num_files if base else 0, run.executor.row_tasks()
        manifest = partition(config, run.store, run.spool, first_file, look.see, tasks, run.progress)
        check_partitions(config, manifest.rows, manifest.num_parts, base.before if base else NOTHING_BEFORE)
        asks_hosts = config.columns.image is None and any(each.kind == "lists" for each in inputs(config))
        if asks_hosts and (advice := config.contact_advice(manifest.rows)):
            log.warning(advice)
        if base and tasks:
            partition_known_in_tasks(base.corpus, manifest, run.store, run.spool, tasks)
        elif base:
            partition_known(base.corpus, manifest, run.store, run.spool, config.processes)
    return manifest


def _ask_hosts(run: RunContext, manifest: PartitionManifest) -> None:
    """Asks for the robots.txt of hosts, unless every part is fetched already."""
    if not run.config.honour_robots:
        return
    if all_done(run.store, manifest.num_parts):
        return
    engine = run.executor.engine
    with run.stage("hosts", manifest.num_parts):
        given = (run.config, run.store, manifest.num_parts, engine)
        tasks = run.executor.row_tasks()
        sizes = find_hosts_in_tasks(*given, tasks, run.progress) if tasks else find_hosts(*given, run.progress)
    with run.stage("robots", sum(sizes)):
        given_sizes = (run.config, run.store, manifest.num_parts, sizes, engine)
        ask_hosts(*given_sizes, run.progress, run.executor.ask_tasks())


def _fetch(run: RunContext, manifest: PartitionManifest) -> list[PartSummary]:
    with run.stage("fetch", manifest.rows):
        budget = FailureBudget(run.progress, manifest.rows, run.config.failure_budget, run.config.output)
        parts = run_parts(run.config, run.store, manifest.num_parts, budget, run.executor.parts)
        budget.check(done=True)
        run.fetched = budget.traffic
    return parts


def _select(run: RunContext, manifest: PartitionManifest, pinned: Pinned, parts: list[PartSummary]) -> Selected:
    config, base = run.config, run.base
    names, sizes = [facts_file(part.part, part.attempt) for part in parts], [part.facts_size for part in parts]
    facts = parquet_of(run.store, names, pa.schema([field for field in PART_FACTS if field.name != "tags"]), sizes)
    engine_memory, _ = shared(bytes_of(config.memory_limit))
    with run.stage("select"), closing(run.executor.engine(engine_memory)) as engine:
        selected = select(
            engine,
            run.store,
            facts,
            rows=manifest.rows,
            num_parts=manifest.num_parts,
            parts_per_group=config.parts_per_group,
            holdout=config.holdout,
            spool=run.spool,
            existing=partial(_existing, run, base) if base else None,
            leaks=f"{label(base.runs if base else 0, LEAKS)}.parquet",
            rules=SetRules.of(config, pinned.evaluation),
            stamp=select_stamp(config, pinned.evaluation, parts),
            tagged=facts.of(TAGGED),
            progress=run.progress,
        )
    run.check_sum(selected.rows, manifest.rows, "the selection")
    return selected


def _existing(run: RunContext, base: Base) -> "TableSource | Path":
    """Returns the samples of the base: generated by tasks of a cluster, or as a file of the spool."""
    if run.executor.row_tasks() is not None:
        return existing_table(base.corpus)
    return existing_rows(base.corpus, run.spool / "existing.parquet")


def _pack(
    run: RunContext, manifest: PartitionManifest, parts: list[PartSummary], selected: Selected
) -> list[PackedGroup]:
    config = run.config
    with run.stage("pack", manifest.rows):
        groups = plan_groups(
            run.store,
            num_parts=manifest.num_parts,
            parts_per_group=config.parts_per_group,
            max_samples=config.shard_samples,
            max_bytes=config.shard_bytes,
            selected=selected.stamp,
            before=run.base.before if run.base else NOTHING_BEFORE,
        )
        pictures = [StoredTable(attempt_file(part.part, part.attempt), part.size) for part in parts]
        extra, stamp, limits = extra_schema(config), pack_stamp(config, selected.stamp), key_limits(selected.reasons)
        begin_packing(run.store, stamp, run.base)
        tasks = [
            PackTask(
                store=run.store,
                spool=str(run.spool),
                group=group,
                attempts={part: pictures[part] for part in group.parts},
                parts_per_group=config.parts_per_group,
                extra=extra,
                stamp=stamp,
                selected=selected.stamp,
                limits=limits,
                extends=run.base is not None,
            )
            for group in groups
        ]
        packed = pack_all(tasks, run.progress, run.executor.pack)
        run.check_sum(sum(sum(group.outcomes().values()) for group in packed), manifest.rows, "samples and rejects")
    return packed
