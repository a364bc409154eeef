"""What the corpus that a model was trained on has of the test images, and what that does to its outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean

from tagmill.shards import ConfigError, Corpus
from tagmill.transfer.outcome.lower_bound import LowerBound, SeenImages, lower_bound, seen_images
from tagmill.transfer.report.report_facts import Judged

_VIEW = "default"


@dataclass(frozen=True)
class TrainedOn:
    """A view of a corpus, and the images of an evaluation set that its training samples equal, or are near to."""

    corpus: str  # URL
    view: str
    evaluation_set: str
    seen: SeenImages


@dataclass(frozen=True)
class Bounds:
    """The lower bounds of the outcomes of a model."""

    trained_on: TrainedOn
    of: Mapping[str, LowerBound]  # by the digest of an outcome; a random network has none

    def values(self) -> dict[str, object]:
        """Returns what the report says of the corpus, for JSON."""
        facts, seen = self.trained_on, self.trained_on.seen
        named = {"corpus": facts.corpus, "view": facts.view, "evaluation_set": facts.evaluation_set}
        return {**named, "pairs": seen.pairs, "trained_pairs": seen.trained_pairs, "seen_images": len(seen.names)}

    def values_of(self, judged: Judged) -> dict[str, object] | None:
        """Returns the figures of an outcome, for JSON."""
        found = self.of.get(judged.digest)
        if found is None:
            return None
        values = asdict(found)
        values["intervals"] = values.pop("ends")
        return {**values, "accuracy": found.accuracy, "lower": found.lower, "deduplicated": found.deduplicated}


def read_trained_on(address: str, evaluation_set: str | None) -> TrainedOn:
    """Reads the pairs of a corpus, `CORPUS` or `CORPUS#VIEW`, with an evaluation set. Raises ConfigError without a name of the
    set and for a corpus that was not compared with it, and CorpusError."""
    if evaluation_set is None:
        remedy = "give --evaluation-set NAME, the name that the corpus was made with"
        raise ConfigError("no evaluation set for --trained-on", address, remedy)
    place, _, view = address.partition("#")
    corpus = Corpus.open(place)
    return TrainedOn(place, view or _VIEW, evaluation_set, seen_images(corpus, view or _VIEW, evaluation_set))


def bounds_of(trained_on: TrainedOn, judged: Sequence[Judged]) -> Bounds:
    """Returns the bounds of the outcomes of the trained model. Raises ConfigError where an outcome has no image of any pair."""
    own = [each for each in judged if each.random_seed is None]
    return Bounds(trained_on, {each.digest: lower_bound(each.outcome, trained_on.seen) for each in own})


def mean_bounds(bounds: Bounds, judged: Sequence[Judged]) -> dict[str, tuple[float, float | None]]:
    """Returns of each variant the means over its runs: accuracy with the seen images as errors, and accuracy without them."""
    runs: dict[str, list[LowerBound]] = {}
    for each in judged:
        if each.digest in bounds.of and each.random_seed is None:
            runs.setdefault(each.variant, []).append(bounds.of[each.digest])
    found = dict[str, tuple[float, float | None]]()
    for variant, some in runs.items():
        without = [each.deduplicated for each in some if each.deduplicated is not None]
        found[variant] = (mean(each.lower for each in some), mean(without) if without else None)
    return found
