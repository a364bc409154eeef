"""The next generation of an extended corpus: makes every view again for it, and commits it over the old one."""

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.labels import LabelOptions
from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.extend.base_corpus import Base
from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.ingest.labels.vocabulary_rules import VOCABULARY_KINDS, VocabularyRules
from tagmill.ingest.parts.first_look import reading_of
from tagmill.ingest.takedown.takedown_command import find_taken
from tagmill.ingest.views.build import DEFAULT_VIEW, CorpusSource, Labelled, make_view
from tagmill.ingest.views.recipe import ViewRules, view_rules_of
from tagmill.shards.errors import ConfigError, CorpusError, OvertakenError
from tagmill.shards.manifest import Corpus, Named, commit
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.purge import put_list
from tagmill.shards.takedown import SAMPLE, Row, Takedown
from tagmill.shards.view import View

log = logging.getLogger(__name__)

COMMIT_TRIES = 20  # another command may commit a view or takedown while views are made again


def check_views(config: LabelOptions, corpus: Corpus) -> None:
    """Raises ConfigError where a view cannot be made again for more shards, or flags contradict its recipe."""
    if unknown := sorted(set(config.drop_views) - set(corpus.file.views)):
        known = ", ".join(sorted(corpus.file.views)) or "none"
        raise ConfigError(f"no view {unknown[0]!r} to drop", corpus.store.url, f"the corpus has: {known}")
    for name in kept(config, corpus):
        rules = view_rules_of(View.open(corpus, name), recount=config.recount)
        if name == DEFAULT_VIEW:
            _check_flags(config, rules)


def kept(config: LabelOptions, corpus: Corpus) -> list[str]:
    """Returns the names of the views of the next generation."""
    return sorted(set(corpus.file.views) - set(config.drop_views))


def _check_flags(config: LabelOptions, rules: ViewRules) -> None:
    """Raises ConfigError for flags that contradict the recipe of the view `default`, which it keeps."""
    recipe: dict[str, object] = {"min_count": rules.vocabulary.min_count, "top_k": rules.vocabulary.top_k}
    recipe |= {"max_labels": rules.max_labels, "rule": rules.match.rule, "short_tokens": rules.match.short_tokens}
    recipe["vocabulary"] = rules.vocabulary.vocabulary
    if (
        config.vocabulary not in VOCABULARY_KINDS
        and VocabularyRules(config.vocabulary).file_labels() == rules.vocabulary.file_labels()
    ):
        del recipe["vocabulary"]  # the same classes, from another file
    for name, value in recipe.items():
        given = getattr(config, name)
        if given not in (LabelOptions.__dataclass_fields__[name].default, value):
            flag = "--" + name.replace("_", "-")
            remedy = f"leave {flag} out, and make another view with tagmill corpus view"
            raise ConfigError(f"view {DEFAULT_VIEW!r} has {name} {value!r} and keeps it, not {given!r}", flag, remedy)


@dataclass
class Generation:
    """What a run adds to a corpus, until it is committed."""

    base: Base
    config: IngestConfig
    denied: Denylist  # takedown rules that the run has applied
    spool: Path  # a local folder
    engine: Callable[[], Engine]
    note: Callable[[str], None]  # called with the name of what is written, before it is
    progress: Progress = field(default_factory=Silent)
    _made: dict[str, tuple[tuple[Named, Named | None], Labelled]] = field(default_factory=dict)

    def label(self, after: Callable[[Corpus], Corpus]) -> Corpus:
        """Returns the next generation of the present corpus, with its views; `after` returns the rest of it.

        A view that an earlier call made is kept, unless its recipe or the takedown list has changed since.
        """
        now = Corpus.open(self.base.corpus.store.url)
        self._check(now)
        after_now = self._with_takedowns(now.takedown, after(now))
        views = dict[str, Named]()
        for name in kept(self.config, now):
            made_from = (now.file.views[name], after_now.file.takedown)
            if self._made.get(name, (None,))[0] != made_from:
                self._made[name] = (made_from, self._make_again(View.open(now, name), after_now))
            views[name] = self._made[name][1].view
        self._over = now
        return replace(after_now, file=replace(after_now.file, views=views))

    @property
    def labelled(self) -> Mapping[str, Labelled]:
        """Returns the results of labelling, by name of view."""
        return {name: made for name, (_, made) in self._made.items()}

    def commit(self, after: Callable[[Corpus], Corpus], labelled: Corpus) -> None:
        """Commits the generation that `label` returned; labels again where a view or takedown was committed meanwhile."""
        for _ in range(COMMIT_TRIES):
            try:
                commit(labelled.store, labelled.file, self._over.file)
                return
            except OvertakenError:
                log.warning("another command has committed a view or takedown list meanwhile: making views again")
                labelled = self.label(after)
        raise OvertakenError("other commands keep changing the corpus", labelled.store.url, "run it again later")

    def _check(self, now: Corpus) -> None:
        where = now.store.url
        if not self.base.is_below(now):
            what = "another run has extended the corpus meanwhile, and nothing of this one was committed"
            raise CorpusError(what, where, f"remove {where.rstrip('/')}/parts and run it again")

    def _with_takedowns(self, taken: Takedown, corpus: Corpus) -> Corpus:
        """Adds samples to the takedown list that this run took in before they were forbidden."""
        rules = Denylist.of(taken)
        if rules.rules <= self.denied.rules:
            return corpus
        at = str(taken.table["at"][-1])
        rows = [
            Row(kind=SAMPLE, value=m.key, by=m.by, shard=m.shard, ordinal=m.ordinal, at=at)
            for m in find_taken(corpus, rules)
        ]
        named = put_list(corpus.store, taken.with_rows(rows), self.note) if rows else corpus.file.takedown
        return Corpus(corpus.store, replace(corpus.file, takedown=named))

    def _make_again(self, view: View, corpus: Corpus) -> Labelled:
        """Makes a view again, by its own recipe, for all shards."""
        rules = view_rules_of(view, recount=self.config.recount)
        spool = self.spool / f"view-{len(list(self.spool.glob('view-*')))}"
        spool.mkdir()
        source = CorpusSource.of(corpus, spool, self.config.processes)
        with closing(self.engine()) as engine:
            return make_view(
                *(engine, source, view.file.name, rules),
                seed=view.file.seed,
                reading=reading_of(self.config),
                note=self.note,
                progress=self.progress,
            )
