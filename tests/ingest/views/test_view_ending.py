"""The end of `tagmill corpus view`: figures with a legend, advice, and the next commands."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tagmill.ingest.labels.coverage import FewLabels
from tagmill.ingest.views.build import Labelled
from tagmill.ingest.views.view_ending import view_ending
from tagmill.shards.manifest import Named
from tagmill.shards.vocabulary import Label, Vocabulary

LABELS = (Label(0, "dog", ("n02084071",), ("dog",), {"dog": 60}, 60), Label(1, "oak", ("n12268246",), ("oak",), {}, 30))
VIEW = Labelled(
    Named("views/animals/0f0f/view.json", "0f"), Vocabulary(LABELS), 300, 150, 10, epoch_samples=400, t=0.25
)
ENDING = """\
view animals: views/animals/0f0f/view.json
labels      2
            Classes that a training learns.
tags        300, 50% matched
            Of all samples with their copies. Matched tags have a meaning in
            WordNet.
unlabelled  10 samples
            Training skips them. Below half of the samples is good.
threshold   0.25
            Share of images below which a label's images are repeated.
epoch       400 samples
            Of the train split in an epoch, with their repeats.
warning: The label 'dog' is on 60% of the images: a model that always names it
         looks good. Resample (`tagmill corpus view` with --resample sqrt), or
         leave its token out with --stop.

Next:
  tagmill corpus vocabulary 'my corpus' --view animals
  tagmill corpus plan 'my corpus' --batch-size 256 --view animals
  tagmill train --corpus 'my corpus' --view animals
"""


def test_the_ending() -> None:
    assert "\n".join(view_ending("animals", "my corpus", 100, VIEW)) + "\n" == ENDING


def test_without_labels_the_cause_is_said_and_nothing_is_trained() -> None:
    few = FewLabels("words", "the tags are no English nouns", "give --aliases", 9)
    none = replace(VIEW, vocabulary=Vocabulary(()), few_labels=few, epoch_samples=0, t=None)
    lines = view_ending("animals", "c", 100, none)
    assert "Hardly any labels" in " ".join(lines) and "There is no label" not in " ".join(lines)
    assert lines[-1] == "  tagmill corpus vocabulary c --view animals"
    assert "There is no label" in " ".join(view_ending("animals", "c", 100, replace(none, few_labels=None)))


@settings(max_examples=25)
@given(st.text(max_size=300), st.integers(0, 1 << 40))
def test_no_label_harms_a_terminal(name: str, images: int) -> None:
    hostile = replace(VIEW, vocabulary=Vocabulary((replace(LABELS[0], name=name, images=images),)), labels_cut=images)
    lines = view_ending("v", "c", 100, hostile)
    assert all(line.isprintable() and cell_len(line) <= 80 for line in lines)
