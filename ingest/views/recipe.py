"""The rules that make a view: matching, vocabulary and membership; and reading them back from an existing view.

A recipe names the files of its rules by content digest. Copies are in the view's own folder, so that the view can be
remade for a corpus that has grown, wherever the original files are then.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from tagmill.ingest.labels.matching import MAX_FILE_BYTES, MatchRules
from tagmill.ingest.labels.vocabulary_rules import VocabularyRules
from tagmill.ingest.text.text_files import read_list
from tagmill.ingest.views.keyed_random import Keys, keys_of
from tagmill.ingest.views.resampling import ResampleKind
from tagmill.ingest.views.table.label_rows import LabelTable
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.settings.ranges import Between, Count, Share, check_fields
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View

MATCHING = ("aliases", "translations", "stop")  # files of the matching rules
EXCLUDED = "excluded.txt"
_KEPT = ("resample", "epoch_samples", "max_repeat", "noise", "subset")

Repeats = Annotated[int, Between(1, 1 << 15)]
Subset = Annotated[float, Between(0, 1, above=True)]


@dataclass(frozen=True)
class Members:
    """Which samples are in a view, how often, and how noisy their labels are. Raises ConfigError for invalid values."""

    resample: ResampleKind = "natural"
    epoch_samples: int | None = None  # target samples an epoch; None: see `resampling.solve`
    max_repeat: Repeats = 64
    noise: Share = 0.0  # share of training labels that are replaced
    subset: Subset = 1.0  # share of samples that are in the view
    excluded: tuple[str, ...] = ()  # keys
    cap_at: Count | None = None  # t of `cap`, images of a label

    def __post_init__(self) -> None:
        check_fields(self, "view")
        if self.resample == "natural" and self.epoch_samples is not None:
            remedy = "natural gives every sample once: choose sqrt or uniform, or leave epoch_samples out"
            raise ConfigError("natural resampling and epoch_samples", "view", remedy)
        if self.resample == "cap" and (self.cap_at is None) == (self.epoch_samples is None):
            given = "without a threshold or a length" if self.cap_at is None else "with cap_at and epoch_samples"
            remedy = "give one: --cap-at IMAGES, above which a label is thinned out, or --epoch-samples"
            raise ConfigError(f"cap resampling {given}", "view", remedy)
        if self.resample != "cap" and self.cap_at is not None:
            raise ConfigError(f"cap_at with {self.resample} resampling", "view", "give --resample cap, or leave it out")

    def recipe(self) -> dict[str, Any]:
        """Returns everything that membership depends on."""
        excluded = hashlib.sha256("\n".join(sorted(set(self.excluded))).encode()).hexdigest()
        found = {name: getattr(self, name) for name in _KEPT} | {"excluded": excluded if self.excluded else None}
        return found if self.cap_at is None else {**found, "cap_at": self.cap_at}  # absent: digests of before hold

    def keys(self) -> Keys:
        """Returns the excluded keys, [x, 16]. Raises ConfigError for invalid keys."""
        bad = next((key for key in self.excluded if len(key) != 32 or not _is_hex(key)), None)
        if bad is not None:
            raise ConfigError(f"{bad[:80]!r} is no key", "excluded samples", "a key has 32 hex digits")
        return keys_of(self.excluded)


@dataclass(frozen=True)
class ViewRules:
    """How tags become labels and samples become members; a view is a function of these, the corpus and the seed."""

    match: MatchRules = field(default_factory=MatchRules)
    vocabulary: VocabularyRules = field(default_factory=VocabularyRules)
    members: Members = field(default_factory=Members)
    max_labels: int = 16  # most labels of a sample; the rarest are kept
    table: LabelTable | None = None  # labels come from this table instead of tags; `vocabulary` is a file then

    def __post_init__(self) -> None:
        if self.table is not None and self.vocabulary.file_labels() is None:
            remedy = (
                "give --vocabulary FILE, a vocabulary.json or a label a line: it says which ids and names there are"
            )
            raise ConfigError(f"a table of labels and the vocabulary {self.vocabulary.vocabulary!r}", "view", remedy)


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdef" for char in text)


def keep_files(store: Store, folder: str, rules: ViewRules) -> None:
    """Copies the rules' files into a view's folder. Raises ConfigError where one has changed since it was read."""
    for name, path in _paths(rules.match):
        data = read_list(path, MAX_FILE_BYTES, "give the file that the view is made by")
        if (name, sha256_hex(data)) not in rules.match.digests:
            raise ConfigError("the file has changed since the rules were made", path, "start again")
        store.put(f"{folder}/{name}.{'csv' if path.lower().endswith('.csv') else 'tsv'}", data)
    if rules.members.excluded:
        store.put(f"{folder}/{EXCLUDED}", "\n".join(sorted(set(rules.members.excluded))).encode())


def _paths(rules: MatchRules) -> Iterator[tuple[str, str]]:
    for name in MATCHING:
        path: str | None = getattr(rules, name)
        if path is not None:
            yield name, path


def view_rules_of(view: View, *, recount: bool = False) -> ViewRules:
    """Returns the rules that made a view, from the view alone; labels keep their ids unless `recount`.

    Raises ConfigError where they are incomplete: views of earlier versions lack the files of their rules.
    """
    try:
        return _rules_of(view, recount=recount)
    except (TagmillError, KeyError, TypeError, ValueError, FileNotFoundError) as error:
        what = f"view {view.file.name!r} cannot be made again: {_describe(error)}"
        remedy = "make it again with tagmill corpus view, or leave it behind with --drop-views"
        raise ConfigError(what, view.store.url, remedy) from error


def _describe(error: Exception) -> str:
    if isinstance(error, TagmillError):
        return error.what
    return f"its recipe has no {error}" if isinstance(error, KeyError) else f"its recipe cannot be read: {error}"


def _rules_of(view: View, *, recount: bool) -> ViewRules:
    recipe: dict[str, Any] = view.file.recipe
    if "labels" in recipe:
        raise TagmillError("its labels come from a table, which has none of new images")
    match, vocabulary = recipe["match"], recipe["vocabulary"]
    earlier = f"{view.store.url.rstrip('/')}/vocabulary.json"
    if vocabulary["kind"] == "file":
        cuts = VocabularyRules(earlier)
    else:
        after = None if recount else earlier
        cuts = VocabularyRules(vocabulary["kind"], vocabulary["min_count"], vocabulary["top_k"], after)
    rules = MatchRules(
        match["rule"],
        match["instances"],
        tuple(match["lexfiles"]),
        match["compounds"],
        **{name: _file(view.store, name, match[name]) for name in MATCHING if match[name] is not None},
        short_tokens=match.get("short_tokens", False),
        entities=cuts.entities() if "entities" in match else (),
    )
    excluded: tuple[str, ...] = ()
    if recipe["excluded"] is not None:
        data = view.store.read(EXCLUDED)
        if sha256_hex(data) != recipe["excluded"]:
            raise TagmillError(f"{EXCLUDED} is not the file that the view was made from")
        excluded = tuple(data.decode().split("\n"))
    members = Members(**{name: recipe[name] for name in _KEPT}, excluded=excluded, cap_at=recipe.get("cap_at"))
    return ViewRules(rules, cuts, members, recipe["max_labels"])


def _file(store: Store, name: str, digest: str) -> str:
    """Returns the address of a rule file in the view's folder."""
    for kept in (f"{name}.tsv", f"{name}.csv"):
        if store.exists(kept):
            if sha256_hex(store.read(kept)) != digest:
                raise TagmillError(f"{kept} is not the file that the view was made from")
            return f"{store.url.rstrip('/')}/{kept}"
    raise TagmillError(f"its file of {name} is not there")
