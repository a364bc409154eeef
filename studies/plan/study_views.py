"""The views of a study: made once, and found again by what they were made from."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagmill.ingest.views.recipe import ViewRules, view_rules_of
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards import ConfigError, Corpus, CorpusError, View
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.view import ONE
from tagmill.studies.plan.arm import ArmView
from tagmill.studies.plan.selected_views import asked_selection, make_selected, selected_as
from tagmill.studies.scores.score_files import Scores
from tagmill.transfer.outcome.canonical import canonical_json

PREFIX = "study-"


@dataclass(frozen=True)
class ViewFacts:
    """A view that is there."""

    name: str
    digest: str  # of view.json, 64 hex digits
    totals: Mapping[str, int]
    epoch: int  # whole samples of an epoch of the train split
    labels: int
    classes: str  # digest of its labels: views with the same have the same head


def facts_of(corpus: Corpus, name: str) -> ViewFacts:
    """Returns what a plan says of a view. Raises CorpusError where there is none."""
    found = View.open(corpus, name)
    vocabulary = found.vocabulary
    train = [line for line in found.shards if line.split == "train"]
    epoch = sum(sum(line.counts) for line in train) + sum(line.fraction_sum for line in train) // ONE
    return ViewFacts(name, found.digest.hex(), found.file.totals, epoch, len(vocabulary), vocabulary.classes_sha256)


def study_view(corpus: str, base: str, wanted: ArmView, progress: Progress, scores: Scores | None = None) -> ViewFacts:
    """Returns the view of an arm, and makes it where the corpus has none with these rules, or with this selection of `scores`.
    Another view of the same name stays: the new one then has some digits behind its name. Raises ConfigError for a base view
    whose rules are not known any more."""
    if wanted.selection:
        return _selected_view(corpus, wanted, progress, scores)
    opened = Corpus.open(corpus)
    with tempfile.TemporaryDirectory(prefix="tagmill-") as folder:
        config = config_of(corpus, View.open(opened, base), wanted, Path(folder))
        asked = asked_of(config.rules(), config.seed)
        return _found_or_made(
            opened,
            names_of(wanted, asked),
            lambda name: made_as(opened, name, asked),
            lambda name: view(ViewConfig(**{**vars(config), "name": name}), progress),
        )


def _selected_view(corpus: str, wanted: ArmView, progress: Progress, scores: Scores | None) -> ViewFacts:
    if scores is None:
        what = f"view {wanted.name} is selected by a teacher's scores, and there are none"
        raise ConfigError(what, "study", "give --scores, the output of tagmill teach score")
    opened = Corpus.open(corpus)
    return _found_or_made(
        opened,
        names_of(wanted, asked_selection(wanted, scores)),
        lambda name: selected_as(opened, name, wanted, scores),
        lambda name: make_selected(corpus, name, wanted, scores, progress),
    )


def names_of(wanted: ArmView, asked: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the name of an arm's view, and the one where another view has it."""
    name = f"{PREFIX}{wanted.name}"
    return name, f"{name}-{sha256_hex(canonical_json(asked))[:8]}"


def _found_or_made(
    corpus: Corpus, names: tuple[str, str], found: Callable[[str], bool], make: Callable[[str], object]
) -> ViewFacts:
    for name in names:
        if name not in corpus.file.views:
            make(name)
            return facts_of(Corpus.open(corpus.store.url), name)
        if found(name):
            return facts_of(corpus, name)
    raise ConfigError(
        f"view {names[-1]!r} was made by other rules", corpus.store.url, "choose another corpus, or a copy of this one"
    )


def made_as(corpus: Corpus, name: str, asked: Mapping[str, Any]) -> bool:
    """Returns whether a view of this name was made by these rules, from this corpus as it is now."""
    try:
        recipe = View.open(corpus, name).file.recipe
    except CorpusError:
        return False
    taken = corpus.takedown.samples_sha256
    # Through JSON, as the file was: tuples are lists there.
    return recipe.get("takedown") == taken and canonical_json(
        {key: recipe.get(key) for key in asked}
    ) == canonical_json(asked)


def asked_of(rules: ViewRules, seed: int) -> dict[str, Any]:
    """Returns the part of a view's recipe that its flags decide. What `vocabulary` says of names follows from the rest."""
    return {
        "match": rules.match.recipe(),
        "vocabulary": rules.vocabulary.recipe(),
        "max_labels": rules.max_labels,
        **rules.members.recipe(),
        "seed": seed,
    }


def config_of(corpus: str, base: View, wanted: ArmView, folder: Path) -> ViewConfig:
    """Returns the flags of `tagmill corpus view` that make an arm's view: those of the base view with its changes. `folder`:
    for lists of labels and of excluded samples."""
    rules = view_rules_of(base, recount=True)
    match, cuts, members = rules.match, rules.vocabulary, rules.members
    values: dict[str, Any] = {
        "corpus": corpus,
        "name": f"{PREFIX}{wanted.name}",
        "vocabulary": cuts.vocabulary,
        "min_count": cuts.min_count,
        "top_k": cuts.top_k,
        "max_labels": rules.max_labels,
        "seed": base.file.seed,
    }
    values |= {name: getattr(match, name) for name in _MATCH}
    values |= {name: getattr(members, name) for name in _MEMBERS}
    if members.excluded:
        (listed := folder / "excluded.txt").write_text("\n".join(members.excluded))
        values["exclude"] = str(listed)
    if wanted.labels:
        (classes := folder / "labels.txt").write_text("\n".join(wanted.labels) + "\n")
        values |= {"vocabulary": str(classes), "min_count": 1, "top_k": None}
    return ViewConfig(**{**values, **wanted.changes})


_MATCH = ("rule", "instances", "lexfiles", "compounds", "aliases", "translations", "stop", "short_tokens")
_MEMBERS = ("resample", "epoch_samples", "max_repeat", "noise", "subset", "cap_at")
