"""Files of a teacher's scores: `scores.json` says what was scored, `parts/` has the scores, `done.json` ends them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import pyarrow as pa

from tagmill.shards import CorpusError, Store
from tagmill.training.trained.labels import ModelLabel, ModelLabels

SCORES_FORMAT = "1"
FACTS_FILE, DONE_FILE, PARTS_FOLDER = "scores.json", "done.json", "parts"
UNIT = 1 << 16  # a score of 1
SCORES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),  # 32 hex digits
        pa.field("label", pa.int32(), nullable=False),  # place in the teacher's labels
        pa.field("score", pa.int32(), nullable=False),  # units of 2^-16
    ]
)
"""A row for each of the P best labels of a sample, best first; samples in the order of the corpus."""

ScoredSplit = Literal["train", "holdout", "all"]
Loss = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class ScoreFacts:
    """What determines scores. The content of `scores.json`."""

    teacher: Mapping[str, Any]  # name, digest, network, network_args and transform
    loss: Loss  # softmax: a score is the label's share, and those of an image sum to 1; sigmoid: its probability
    labels: ModelLabels  # in the order of their ids
    top: int  # P, labels of a sample
    corpus: Mapping[str, str]  # name, and manifest: SHA-256 of the shard table, 64 hex digits
    split: ScoredSplit
    samples: int  # of the split, with those that are taken down
    part_samples: int  # of a part, in the order of the corpus; the last one has the rest
    batch: int  # images that the network gets at a time; each part begins with a new batch
    device: str  # cpu or cuda
    versions: Mapping[str, str] = field(default_factory=dict)  # of libraries that may change the last bits

    @property
    def num_parts(self) -> int:
        return -(-self.samples // self.part_samples)

    def places(self, part: int) -> range:
        """Returns the places of a part's samples in the split."""
        return range(part * self.part_samples, min((part + 1) * self.part_samples, self.samples))

    @property
    def digest(self) -> str:
        """SHA-256 of `scores.json`, 64 hex digits."""
        return hashlib.sha256(facts_json(self)).hexdigest()


@dataclass(frozen=True)
class ScoreTotals:
    """What was scored. The content of `done.json`."""

    scored: int  # samples with scores
    skipped: Mapping[str, int]  # samples without, by reason
    rows: int  # of all parts
    parts_sha256: str  # SHA-256 of the SHA-256 of each part's file (32 bytes each), in order; 64 hex digits


@dataclass(frozen=True)
class Scores:
    """Scores that are complete."""

    url: str
    facts: ScoreFacts
    totals: ScoreTotals
    parts: list[str]  # paths or URLs of the Parquet files, in order

    @property
    def labels(self) -> ModelLabels:
        """The teacher's labels; `label` of SCORES is a place in them."""
        return self.facts.labels

    @property
    def digest(self) -> str:
        """SHA-256 of facts and parts, 64 hex digits: it identifies the scores, wherever they are kept."""
        return hashlib.sha256(f"{self.facts.digest} {self.totals.parts_sha256}".encode()).hexdigest()


def open_scores(url: str) -> Scores:
    """Opens complete scores. `url`: the folder or bucket prefix that `tagmill teach score` wrote.

    Raises CorpusError where there are none, where they are not complete, and where a file is not one of this format.
    """
    store = Store(url)
    facts = read_facts(store)
    if facts is None:
        remedy = "give the folder that tagmill teach score wrote"
        raise CorpusError(f"no scores here: no {FACTS_FILE}", store.url, remedy)
    totals = read_totals(store)
    if totals is None:
        remedy = "run the tagmill teach score command that began them again"
        raise CorpusError(f"scores that are not complete: no {DONE_FILE}", store.url, remedy)
    return Scores(store.url, facts, totals, [f"{store.url.rstrip('/')}/{part_name(n)}" for n in range(facts.num_parts)])


def part_name(part: int) -> str:
    """Returns the name of a part's file below the folder of the scores."""
    return f"{PARTS_FOLDER}/{part:06d}.parquet"


def facts_json(facts: ScoreFacts) -> bytes:
    """Returns the bytes of `scores.json`: the same for the same facts."""
    told = asdict(facts) | {"labels": [asdict(label) for label in facts.labels], "format": SCORES_FORMAT}
    return _json(told)


def totals_json(totals: ScoreTotals) -> bytes:
    """Returns the bytes of `done.json`."""
    return _json(asdict(totals) | {"format": SCORES_FORMAT})


def read_facts(store: Store) -> ScoreFacts | None:
    """Reads `scores.json`; None where there is none. Raises CorpusError for a file that is not one of this format."""
    found = _read(store, FACTS_FILE)
    if found is None:
        return None
    where = f"{store.url}/{FACTS_FILE}"
    try:
        labels = tuple(
            ModelLabel(str(each["name"]), tuple(map(str, each["synsets"])), tuple(map(str, each["words"])))
            for each in found.pop("labels")
        )
        facts = ScoreFacts(labels=labels, **found)
        if facts.split not in get_args(ScoredSplit) or facts.loss not in get_args(Loss):
            raise ValueError(f"split {facts.split!r}, loss {facts.loss!r}")
        if min(facts.samples, facts.part_samples, facts.top, facts.batch) < 1:
            raise ValueError("a count below 1")
    except (LookupError, TypeError, ValueError) as error:
        raise _not_ours(error, where) from error
    return facts


def read_totals(store: Store) -> ScoreTotals | None:
    """Reads `done.json`; None where there is none. Raises CorpusError for a file that is not one of this format."""
    found = _read(store, DONE_FILE)
    if found is None:
        return None
    try:
        return ScoreTotals(**found)
    except TypeError as error:
        raise _not_ours(error, f"{store.url}/{DONE_FILE}") from error


def _json(told: Mapping[str, object]) -> bytes:
    return json.dumps(told, indent=1, sort_keys=True).encode() + b"\n"


def _read(store: Store, name: str) -> dict[str, Any] | None:
    """Returns a file's object without its format."""
    where = f"{store.url}/{name}"
    try:
        found = json.loads(store.read(name))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise _not_ours(error, where) from error
    if not isinstance(found, dict):
        raise _not_ours(TypeError("not an object"), where)
    if (form := found.pop("format", None)) != SCORES_FORMAT:
        remedy = "read them with the tagmill version that wrote them, or score again into another --output"
        raise CorpusError(f"scores of format {form!r}, this version reads {SCORES_FORMAT!r}", where, remedy)
    return found


def _not_ours(error: Exception, where: str) -> CorpusError:
    what = f"not a file of scores: {type(error).__name__}: {error}"
    return CorpusError(what, where, "give another folder, or restore it")
