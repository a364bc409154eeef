"""Classes of a view from a teacher's labels: in order, with distinct names, and what a view cannot have is refused."""

import pytest

from tagmill.shards import Vocabulary
from tagmill.shards.errors import ConfigError
from tagmill.studies.selection.teacher_classes import listed, teacher_classes
from tagmill.training.trained.labels import ModelLabel
from tests.studies.selection.scored import LABELS, SETS


def test_classes_are_the_labels_with_synsets_in_their_order() -> None:
    labels = [LABELS[2], ModelLabel("nothing"), ModelLabel("dog", ("n02121808", "n02121620")), LABELS[0]]
    with pytest.raises(ConfigError, match="1 of 4 labels of the teacher have no synsets: nothing") as raised:
        teacher_classes(labels, "scores", "refuse")
    assert "--without-synsets leave-out" in raised.value.remedy
    found = teacher_classes(labels, "scores", "leave-out")
    assert found.numbers == (0, 2, 3) and found.left_out == ("nothing",)
    assert found.synsets == (SETS[2], ("n02121620", "n02121808"), SETS[0])
    assert found.names[0] == "oak" and len(set(found.names)) == 3
    vocabulary = Vocabulary.parse(found.vocabulary())
    assert [label.synsets for label in vocabulary.labels] == list(found.synsets)
    assert [label.name for label in vocabulary.labels] == list(found.names) and "oak" in vocabulary.labels[0].lemmas


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([ModelLabel("a"), ModelLabel("b")], "none of the 2 labels of the teacher has synsets"),
        ([LABELS[0], ModelLabel("x", ("n00000000",))], "label 'x' has 'n00000000'"),
        ([LABELS[0], ModelLabel("hound", SETS[0])], "labels 'dog' and 'hound' have the same synsets"),
    ],
)
def test_what_a_view_cannot_have_is_refused(labels: list[ModelLabel], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        teacher_classes(labels, "scores", "leave-out")


def test_a_message_names_a_few() -> None:
    assert listed(["a", "b"]) == "a, b" and listed([str(n) for n in range(1007)]) == "0, 1, 2, 3, 4 and 1,002 more"
