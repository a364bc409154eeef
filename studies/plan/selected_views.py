"""The views of arms that a teacher's scores select: made once, and found again by what they were made from."""

from collections.abc import Mapping
from typing import Any

from tagmill.shards import Corpus, CorpusError, View
from tagmill.shards.progress.protocol import Progress
from tagmill.studies.plan.arm import ArmView
from tagmill.studies.scores.score_files import Scores
from tagmill.studies.selection.select_options import SelectOptions
from tagmill.studies.selection.selected_view import select

FIELDS = ("rule", "k", "p", "seed", "scores")


def make_selected(corpus: str, name: str, wanted: ArmView, scores: Scores, progress: Progress) -> None:
    """Makes the view of an arm as `tagmill teach select` makes it. Raises TagmillError for scores of another corpus, and for a
    teacher with classes that have no synsets."""
    select(SelectOptions(scores=scores.url, corpus=corpus, view=name, **_flags(wanted)), progress)


def selected_as(corpus: Corpus, name: str, wanted: ArmView, scores: Scores) -> bool:
    """Returns whether a view of this name was selected by these scores in this way, from this corpus as it is now."""
    try:
        recipe = View.open(corpus, name).file.recipe
    except CorpusError:
        return False
    labels, asked = recipe.get("labels", {}), asked_selection(wanted, scores)
    same = recipe.get("takedown") == corpus.takedown.samples_sha256 and recipe.get("excluded") is None
    return same and all(labels.get(field) == asked[field] for field in FIELDS)


def asked_selection(wanted: ArmView, scores: Scores) -> dict[str, Any]:
    """Returns the part of a view's recipe that the selection decides."""
    flags = _flags(wanted)
    return {
        "rule": "balanced",
        "k": flags["k"],
        "p": flags.get("top_labels", scores.facts.top),
        "seed": 0,
        "scores": scores.digest,
    }


def _flags(wanted: ArmView) -> dict[str, Any]:
    selection: Mapping[str, Any] = wanted.selection
    most = {"top_labels": selection["p"]} if "p" in selection else {}
    return {"k": selection["k"], **most}
