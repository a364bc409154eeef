"""A training and a test part, where no test set is given."""

from tagmill.transfer.sets.chosen_set import choose
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.splits import divide_set

TEST_WEIGHTS = (4, 1)  # training and test images, where one set is divided


def divided(labelled: LabelledSet, seed: int = 0) -> tuple[LabelledSet, LabelledSet]:
    """Returns a training and a test part, four to one, by a hash of keys and groups: a group is in one part, and the parts are
    the same at every reading. Raises InputError for a set of fewer than two images or groups."""
    train, test = divide_set(labelled, TEST_WEIGHTS, seed)
    return (
        choose(labelled, train.tolist(), "(4 of 5 parts)"),
        choose(labelled, test.tolist(), "(1 of 5 parts)"),
    )
