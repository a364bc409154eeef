"""The training and the test set that the flags of `tagmill transfer` ask for."""

from collections.abc import Mapping

from tagmill.shards import ConfigError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.command.divided_set import divided
from tagmill.transfer.command.transfer_options import TransferOptions
from tagmill.transfer.sets.any_label import with_any_label
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.open_set import REAL, open_set
from tagmill.transfer.sets.set_pair import check_pair
from tagmill.transfer.sets.single_label import with_one_label


def sets_of(options: TransferOptions) -> tuple[LabelledSet, LabelledSet, list[str]]:
    """Returns the training and the test set, and what to warn of. Images of several labels are never trained on. Raises
    TagmillError for sets that cannot be read, and ConfigError for one set given as both."""
    whole, left_out = with_one_label(open_set(options.set, options.split))
    notes = _left_out_notes(whole.name, left_out)
    if options.test is None and options.test_split is None:
        if options.any_label:
            remedy = "give --test or --test-split: training images need one label"
            raise ConfigError("--any-label without test images of their own", whole.where, remedy)
        train, test = divided(whole)
        return train, test, [*notes, "no test set was given: one image in five was held out"]
    spec = options.test or options.set
    judged_by = with_any_label if options.any_label or spec.startswith(f"{REAL}:") else with_one_label
    other, left_out = judged_by(open_set(spec, options.test_split))
    check_pair(whole, other)
    return whole, other, [*notes, *_left_out_notes(other.name, left_out)]


def _left_out_notes(name: str, left_out: Mapping[str, int]) -> list[str]:
    return [f"{safe_text(name, 40)}: {count:,} images left out, {reason}" for reason, count in left_out.items()]
