"""`tagmill corpus view`: labels an existing corpus in another way, from its tables; no image is read or written."""

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from tagmill.ingest.config.options import flag_of
from tagmill.ingest.engines.open import open_engine
from tagmill.ingest.labels.matching import MatchRules
from tagmill.ingest.labels.synsets import SenseRule
from tagmill.ingest.labels.vocabulary_rules import VocabularyRules
from tagmill.ingest.text.text_files import read_list, text_of
from tagmill.ingest.views.build import CorpusSource, Labelled, make_view
from tagmill.ingest.views.recipe import Members, Repeats, Subset, ViewRules
from tagmill.ingest.views.resampling import ResampleKind
from tagmill.ingest.views.table.label_file import LabelFile
from tagmill.ingest.views.view_ending import view_ending
from tagmill.ingest.workers.pool import warm
from tagmill.shards.errors import ConfigError
from tagmill.shards.exchange.descriptions import describe_commit
from tagmill.shards.manifest import Corpus, CorpusFile, amend
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Between, Count, Share, check_fields
from tagmill.shards.terminal.lines import print_lines, width_of
from tagmill.shards.view import View

MAX_EXCLUDED = 1 << 30  # bytes of a list of excluded samples
_OF_TAGS = ("rule", "instances", "short_tokens", "lexfiles", "compounds", "aliases", "translations", "stop")


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """A new view of a corpus, or a new generation of an existing one."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""
    name: tyro.conf.Positional[str]
    """Name of the view: letters, digits, - and _."""
    labels: str | None = None
    """Table that labels come from instead of tags: Parquet or CSV with columns key and label, an id or a name."""
    vocabulary: str = "nouns"
    """Classes: nouns, in1k, in21k, a file with a label per line, a vocabulary.json, or CORPUS#VIEW for that of a view."""
    min_count: Count = 1
    """Minimum number of training images of a label."""
    top_k: Count | None = None
    """Keep only this many labels, the most frequent."""
    max_labels: Count = 16
    """Maximum number of labels of an image; the rarest are kept."""
    rule: SenseRule = "merge"
    """Labels of a token with several meanings: one label of all (merge), that of the first, or a label each (all)."""
    instances: bool = False
    """Keep named entities, such as #paris; those that a vocabulary lists are always kept."""
    short_tokens: bool = False
    """Also read tokens of one or two characters, such as #tv and #ox."""
    lexfiles: tuple[str, ...] = ()
    """Keep only meanings in the given lexicographer files of WordNet, such as animal, artifact or food."""
    compounds: bool = False
    """Split compounds: read #sunsetbeach as sunset and beach."""
    aliases: str | None = None
    """File of lines token<TAB>noun."""
    translations: str | None = None
    """File of lines word<TAB>noun, for tags in other languages."""
    stop: str | None = None
    """File of tokens to ignore, one per line."""
    resample: ResampleKind = "natural"
    """How often an image is in an epoch, by the frequency of its rarest label: sqrt and uniform repeat rare ones (Mahajan et
    al. 2018), cap shows frequent ones less often than once (Xu et al. 2024)."""
    epoch_samples: int | None = None
    """Number of samples of an epoch after resampling."""
    cap_at: Count | None = None
    """With --resample cap, the images of a label in an epoch: of a label with more, a share is shown."""
    max_repeat: Repeats = 64
    """Maximum number of copies of an image in an epoch."""
    noise: Share = 0.0
    """Share of training labels that are replaced by labels drawn from the marginal distribution."""
    exclude: str | None = None
    """File of sample keys to leave out, one per line."""
    subset: Subset = 1.0
    """Share of samples in the view; with the same seed, a smaller subset is part of a larger one."""
    seed: Annotated[int, Between(-(1 << 63), (1 << 63) - 1)] = 0
    """Seed of noise, subset and additional copies."""
    processes: Count = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of worker processes."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    """Where tables are joined: this machine (duckdb) or a Spark cluster. The view is the same to the byte."""
    spark_master: str | None = None
    """Master URL of Spark; by default that of the current session or spark-submit, else processes of this machine."""
    memory_limit: str = "2GB"
    """Memory of the SQL engine, such as 500MB or 2GB; more data is spilled to the spool."""
    spool: str | None = None
    """Local scratch folder; by default in the system's folder for temporary files."""

    def __post_init__(self) -> None:
        check_fields(self, flag_of)
        check_view_name(self.name)
        given = [name for name in _OF_TAGS if getattr(self, name) != ViewConfig.__dataclass_fields__[name].default]
        if self.labels is not None and given:
            flag = flag_of(given[0])
            raise ConfigError(f"--labels and {flag}", "view", f"leave {flag} out: it is about tags, which are not read")

    def rules(self) -> ViewRules:
        """Returns the rules of the view. Raises ConfigError for invalid values; reads the list of excluded samples."""
        cuts = VocabularyRules(vocabulary_file(self.vocabulary), self.min_count, self.top_k)
        match = MatchRules(
            rule=self.rule,
            instances=self.instances,
            lexfiles=self.lexfiles,
            compounds=self.compounds,
            aliases=self.aliases,
            translations=self.translations,
            stop=self.stop,
            short_tokens=self.short_tokens,
            entities=cuts.entities(),
        )
        excluded = keys_in(self.exclude) if self.exclude else ()
        members = Members(
            self.resample, self.epoch_samples, self.max_repeat, self.noise, self.subset, excluded, self.cap_at
        )
        table = None if self.labels is None else LabelFile(self.labels)
        return ViewRules(match, cuts, members, self.max_labels, table)


VIEW_COMMAND = CommandLine(
    "tagmill corpus view",
    "Make a view: another labelling of a corpus, without reading its images.",
    (ViewConfig, JsonOutput),
)


def view(config: ViewConfig, progress: Progress | None = None) -> Labelled:
    """Makes the view and commits it. The same corpus and config give the same bytes; the view's recipe records both."""
    rules = config.rules()
    corpus = Corpus.open(config.corpus)
    warm()
    with tempfile.TemporaryDirectory(prefix="tagmill-", dir=config.spool, ignore_cleanup_errors=True) as folder:
        spool = Path(folder) / "view"
        spool.mkdir()
        source = CorpusSource.of(corpus, spool, config.processes)
        with open_engine(config, Path(folder) / "engine") as engine:
            labelled = make_view(engine, source, config.name, rules, seed=config.seed, progress=progress)

    name_view(corpus, config.name, labelled)
    return labelled


def name_view(corpus: Corpus, name: str, labelled: Labelled) -> None:
    """Commits a view that was made for `corpus`. Raises ConfigError where the corpus has changed meanwhile."""

    def named(now: Corpus) -> CorpusFile:  # another process may have added a view meanwhile
        if now.file.manifest != corpus.file.manifest:
            raise ConfigError("the corpus has changed while the view was made", corpus.store.url, "make the view again")
        return replace(now.file, views={**now.file.views, name: labelled.view})

    amend(corpus, named)
    describe_commit(corpus.store.url)


def check_view_name(name: str) -> None:
    """Raises ConfigError for a name that no view can have."""
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ConfigError(f"{name!r} as the name of a view", "view", "use letters, digits, - and _")


def vocabulary_file(given: str) -> str:
    """Returns the address of the vocabulary of a view, given as CORPUS#VIEW; other values unchanged."""
    corpus, mark, name = given.rpartition("#")
    if not mark:
        return given
    return f"{View.open(Corpus.open(corpus), name).store.url.rstrip('/')}/vocabulary.json"


def view_command(arguments: Sequence[str]) -> str:
    """Runs one `tagmill corpus view` command line; returns the corpus that it changed."""
    config: ViewConfig
    shown: JsonOutput
    config, shown = VIEW_COMMAND.parse(arguments)
    with nullcontext(Silent()) if shown.json else progress_shown() as progress:
        labelled = view(config, progress)
    facts = summary(config.name, labelled)
    console = Console()
    if shown.json:
        console.print_json(json.dumps(facts))
        return config.corpus
    samples = Corpus.open(config.corpus).file.totals.get("train", 0)
    print_lines(view_ending(config.name, config.corpus, samples, labelled, width_of(console)), console)
    return config.corpus


def summary(name: str, labelled: Labelled) -> dict[str, Any]:
    """Returns what is printed about a finished view."""
    counts = {key: value for key, value in asdict(labelled).items() if key not in ("view", "vocabulary")}
    return {"view": name, "path": labelled.view.path, "labels": len(labelled.vocabulary), **counts}


def keys_in(path: str) -> tuple[str, ...]:
    """Returns the keys in a file of one a line (path or URL). Raises TagmillError for a file that cannot be read."""
    text = text_of(read_list(path, MAX_EXCLUDED, "give a list of keys, one a line"), path)
    return tuple(line.strip() for line in text.splitlines() if line.strip())
