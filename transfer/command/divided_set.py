"""A training and a test part, where no test set is given."""

from tagmill.transfer.finetune.set_part import part_of
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.splits import divide_set

TEST_WEIGHTS = (4, 1)  # training and test images, where one set is divided


def divided(labelled: LabelledSet, seed: int = 0) -> tuple[LabelledSet, LabelledSet]:
    """Returns a training and a test part, four to one, by a hash of keys and groups: a group is in one part, and the parts are
    the same at every reading. Raises InputError for a set of fewer than two images or groups."""
    train, test = divide_set(labelled, TEST_WEIGHTS, seed)
    names = (f"{labelled.name}, 4 of 5 parts", f"{labelled.name}, 1 of 5 parts")
    return part_of(labelled, train, names[0]), part_of(labelled, test, names[1])
