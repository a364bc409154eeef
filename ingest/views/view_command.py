"""`tagmill corpus view`: another labelling of a corpus that is there, from its tables; no image is read or written."""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from tagmill.ingest.engines.open import open_engine
from tagmill.ingest.labels.matching import MatchRules
from tagmill.ingest.labels.synsets import SenseRule
from tagmill.ingest.labels.vocabulary_rules import VocabularyRules
from tagmill.ingest.report import warning
from tagmill.ingest.text.text_files import read_list, text_of
from tagmill.ingest.views.build import CorpusSource, Labelled, make_view
from tagmill.ingest.views.recipe import Members, ViewRules
from tagmill.ingest.workers.shared_counters import warm
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Corpus, CorpusFile, amend

MAX_EXCLUDED = 1 << 30  # bytes of a list of excluded samples


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """A new view of a corpus, or a new generation of one that it has."""

    corpus: tyro.conf.Positional[str]
    name: tyro.conf.Positional[str]
    vocabulary: str = "nouns"
    """nouns, in1k, in21k (labels that meet a class of ImageNet), or a file: labels a line, or a view's vocabulary.json."""
    min_count: int = 1
    """Training images that a label needs."""
    top_k: int | None = None
    """The commonest labels only."""
    max_labels: int = 16
    """Labels of an image at most; the rarest stay."""
    rule: SenseRule = "merge"
    """What a tag with several meanings becomes: one label of all of them, the first, or a label each."""
    instances: bool = False
    """Keep named entities, such as #paris; those that a vocabulary lists are kept anyway."""
    short_tokens: bool = False
    """Read tokens of one or two characters too, such as #tv and #ox."""
    lexfiles: tuple[str, ...] = ()
    """Only meanings of these kinds, by WordNet's lexicographer files: animal, artifact, food, ..."""
    compounds: bool = False
    """Read #sunsetbeach as sunset and beach."""
    aliases: str | None = None
    """A file of lines `token<TAB>noun`."""
    translations: str | None = None
    """A file of lines `word<TAB>noun`, for tags in other languages."""
    stop: str | None = None
    """A file of tokens that lead to nothing, one a line."""
    resample: Literal["natural", "sqrt", "uniform"] = "natural"
    """How often an image comes in an epoch, by its rarest label (Mahajan et al. 2018)."""
    epoch_samples: int | None = None
    """The samples of an epoch that resampling comes up to."""
    max_repeat: int = 64
    """Copies of an image in an epoch at most."""
    noise: float = 0.0
    """The share of training labels that are replaced by draws from the marginal."""
    exclude: str | None = None
    """A file of keys that are left out, one a line."""
    subset: float = 1.0
    """The share of samples that are in the view; of one seed, smaller ones lie inside larger ones."""
    seed: int = 0
    """Of noise, subset and extra copies."""
    processes: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Worker processes."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    """Who joins the tables: this machine (duckdb) or a Spark cluster; not a byte depends on it."""
    spark_master: str | None = None
    """Spark's master; by default that of the session or spark-submit that this runs in, else this machine's processes."""
    memory_limit: str = "2GB"
    """Memory of the SQL engine; more is spilled to the spool."""
    spool: str | None = None
    """A local scratch folder; by default one in the system's place for them."""

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").replace("_", "").isalnum() or not self.name.isascii():
            raise ConfigError(f"{self.name!r} as the name of a view", "view", "use letters, digits, - and _")
        if self.max_labels < 1 or self.processes < 1:
            raise ConfigError("max_labels and processes below 1", "view", "give whole numbers of at least 1")
        if not -(1 << 63) <= self.seed < 1 << 63:
            raise ConfigError(f"seed {self.seed}", "view", "give one that fits into 64 bits")

    def rules(self) -> ViewRules:
        """Raises ConfigError for what cannot be right; reads the list of excluded samples."""
        cuts = VocabularyRules(self.vocabulary, self.min_count, self.top_k)
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
        excluded = _keys_in(self.exclude) if self.exclude else ()
        members = Members(self.resample, self.epoch_samples, self.max_repeat, self.noise, self.subset, excluded)
        return ViewRules(match, cuts, members, self.max_labels)


def view(config: ViewConfig) -> Labelled:
    """Makes the view and commits it. What it is made from is in its recipe: the same corpus and config give the same bytes."""
    rules = config.rules()
    corpus = Corpus.open(config.corpus)
    warm()
    with tempfile.TemporaryDirectory(prefix="tagmill-", dir=config.spool, ignore_cleanup_errors=True) as folder:
        spool = Path(folder) / "view"
        spool.mkdir()
        source = CorpusSource.of(corpus, spool, config.processes)
        with open_engine(config, Path(folder) / "engine") as engine:
            labelled = make_view(engine, source, config.name, rules, seed=config.seed)

    def named(now: Corpus) -> CorpusFile:  # it may have been given another view meanwhile
        if now.file.manifest != corpus.file.manifest:
            raise ConfigError("the corpus has changed while the view was made", config.corpus, "make the view again")
        return replace(now.file, views={**now.file.views, config.name: labelled.view})

    amend(corpus, named)
    return labelled


def view_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus view` command line."""
    as_json = "--json" in arguments
    words = [word for word in arguments if word != "--json"]
    config = tyro.cli(ViewConfig, args=words, prog="tagmill corpus view", description="Also: --json, for machines.")
    labelled = view(config)
    facts = summary(config.name, labelled)
    console = Console()
    if as_json:
        console.print_json(json.dumps(facts))
        return
    table = Table("", "", box=None, show_header=False)
    for name, value in facts.items():
        if name != "few_labels":
            table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)
    if labelled.few_labels:
        console.print(warning(labelled.few_labels))


def summary(name: str, labelled: Labelled) -> dict[str, Any]:
    """What there is to say about a view that was made."""
    told = {key: value for key, value in asdict(labelled).items() if key not in ("view", "vocabulary")}
    return {"view": name, "path": labelled.view.path, "labels": len(labelled.vocabulary), **told}


def _keys_in(path: str) -> tuple[str, ...]:
    text = text_of(read_list(path, MAX_EXCLUDED, "give a list of keys, one a line"), path)
    return tuple(line.strip() for line in text.splitlines() if line.strip())
