"""Makes a view of the images that scores choose: from the files of scores to a commit in the corpus."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tagmill.ingest.engines.engine import Engine, parquet_of
from tagmill.ingest.engines.open import open_engine
from tagmill.ingest.labels.vocabulary_rules import VocabularyRules
from tagmill.ingest.views.build import CorpusSource, Labelled, make_view
from tagmill.ingest.views.recipe import Members, ViewRules
from tagmill.ingest.views.view_command import keys_in, name_view
from tagmill.ingest.workers.pool import warm
from tagmill.shards import ConfigError, Corpus, CorpusError, Store, View
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.studies.scores.score_files import PARTS_FOLDER, Scores, open_scores, part_name
from tagmill.studies.selection.chosen_rows import SCORED, Chosen, ChosenTable, choose_rows
from tagmill.studies.selection.eligible import left_out_table
from tagmill.studies.selection.page import put_page, selection_page
from tagmill.studies.selection.places import PlacedImage, placed_images
from tagmill.studies.selection.select_options import SelectOptions
from tagmill.studies.selection.selection_facts import SelectionFacts
from tagmill.studies.selection.tag_matches import tag_matches
from tagmill.studies.selection.teacher_classes import TeacherClasses, teacher_classes
from tagmill.studies.selection.top_labels import top_labels


@dataclass(frozen=True)
class Selected:
    """A view that was made and committed, and where its page is."""

    facts: SelectionFacts
    labelled: Labelled
    page: str


def select(options: SelectOptions, progress: Progress | None = None) -> Selected:
    """Chooses images, makes the view and its page, and commits the view. The same scores, corpus and options give the same
    bytes on either engine; a run that was killed leaves nothing that readers see, and can be started again.

    Raises TagmillError for scores or a corpus that cannot be read, and ConfigError where they do not belong together.
    """
    shown = progress or Silent()
    scores, corpus = open_scores(options.scores), Corpus.open(options.corpus)
    _check(scores, corpus)
    top = _top(options, scores)
    classes = teacher_classes(scores.labels, scores.url, options.without_synsets)
    tagged = View.open(corpus, options.tags_view) if options.rule == "tags" else None
    members = Members(excluded=keys_in(options.exclude) if options.exclude else ())
    members.keys()  # refuses what is no key
    warm()
    with tempfile.TemporaryDirectory(prefix="tagmill-", dir=options.spool, ignore_cleanup_errors=True) as folder:
        spool = Path(folder) / "view"
        spool.mkdir()
        with open_engine(options, Path(folder) / "engine") as engine:
            engine.bind_once("left_out", left_out_table(corpus, members.excluded))
            labels = _bind(engine, scores, top, corpus, classes, tagged, options.seed)
            together = options.rule == "unbalanced"
            chosen = choose_rows(engine, labels, options.k_scaled, ranked_together=together, progress=shown)
            facts = _facts(options, scores, top, classes, chosen, tagged)
            vocabulary = Path(folder) / "vocabulary.json"
            vocabulary.write_bytes(classes.vocabulary())
            rules = ViewRules(
                vocabulary=VocabularyRules(str(vocabulary)),
                members=members,
                max_labels=_max_labels(engine, min(top, len(scores.labels)), tagged),
                table=ChosenTable(scores.url, facts.recipe()),
            )
            source = CorpusSource.of(corpus, spool, options.processes)
            labelled = make_view(engine, source, options.view, rules, seed=options.seed, progress=shown)
            shown.stage("select: page")
            images = placed_images(engine, corpus, chosen, options.images, scored=tagged is None)
    page = _put(options, corpus, facts, labelled, images)
    name_view(corpus, options.view, labelled)
    return Selected(facts, labelled, page)


def _check(scores: Scores, corpus: Corpus) -> None:
    if scores.facts.corpus.get("manifest") != corpus.file.manifest.sha256:
        what = "the scores are of another corpus, or of this one before images were added"
        raise ConfigError(what, scores.url, f"give the corpus that was scored, or score {corpus.store.url} again")
    if scores.facts.split == "holdout":
        remedy = "score the train split: images are chosen to be trained on"
        raise ConfigError("the scores are of held-out samples only", scores.url, remedy)


def _top(options: SelectOptions, scores: Scores) -> int:
    """Returns P: how many labels of an image can select it."""
    kept, wanted = scores.facts.top, options.top_labels
    if wanted is None or options.rule == "tags":
        return kept
    if wanted > kept:
        what = f"--top-labels {wanted} is above the {kept} labels of an image that the scores have"
        raise ConfigError(what, scores.url, "give a lower number, or score the corpus again and keep more labels")
    return wanted


def _bind(
    engine: Engine, scores: Scores, top: int, corpus: Corpus, classes: TeacherClasses, tagged: View | None, seed: int
) -> Sequence[int]:
    """Binds the table `scored`; returns the classes' numbers in it."""
    if tagged is not None:
        engine.bind_once("scored", tag_matches(corpus, tagged, classes.synsets, seed))
        return range(len(classes.synsets))
    names = [part_name(number) for number in range(scores.facts.num_parts)]
    there = set(Store(scores.url).names(PARTS_FOLDER))
    if gone := next((name for name in names if name not in there), None):
        raise CorpusError(f"the scores lack {gone}", scores.url, "restore it, or score the corpus again")
    if top < scores.facts.top:
        engine.bind_once("scored", top_labels(Store(scores.url), names, top))
    else:
        engine.bind_once("scored", parquet_of(Store(scores.url), names, SCORED))
    return classes.numbers


def _max_labels(engine: Engine, top: int, tagged: View | None) -> int:
    """Returns the most labels that an image can have."""
    if tagged is None:
        return top
    (most,) = engine.run("most_labels").read_all()["most"].to_pylist()
    return int(most)


def _facts(
    options: SelectOptions,
    scores: Scores,
    top: int,
    classes: TeacherClasses,
    chosen: Chosen,
    tagged: View | None,
) -> SelectionFacts:
    return SelectionFacts(
        view=options.view,
        rule=options.rule,
        k=options.k_scaled,
        p=top,
        seed=options.seed,
        scores=scores.digest,
        teacher=str(scores.facts.teacher.get("name", "")),
        loss=scores.facts.loss,
        scored=scores.totals.scored,
        names=classes.names,
        left_out=classes.left_out,
        chosen=chosen,
        tags_view=None if tagged is None else tagged.digest.hex(),
    )


def _put(
    options: SelectOptions, corpus: Corpus, facts: SelectionFacts, labelled: Labelled, images: Sequence[PlacedImage]
) -> str:
    page = selection_page(corpus.file.name, labelled.view.path, facts, images)
    return put_page(corpus.store, options.page, labelled.view.path, page)
