"""The numbers of an ingest: `report.json`, and what they warn of."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

from tagmill.ingest.dedup.resolve import SetCounts
from tagmill.ingest.labels.coverage import FewLabels
from tagmill.ingest.progress.host_times import HostTime
from tagmill.ingest.reasons import Reason
from tagmill.shards.terminal import advice

REPORT_FILE = "report.json"
TOP_LABELS = 20
TOP_TOKENS = 5  # of a label


@dataclass(frozen=True)
class TopLabel:
    """One of the commonest labels."""

    name: str  # the readable name; its synsets in corpora of earlier versions
    lemmas: tuple[str, ...]
    images: int  # of the train split
    synsets: tuple[str, ...] = ()
    tokens: Mapping[str, int] = field(default_factory=dict)  # images by token, the most frequent `TOP_TOKENS`


@dataclass(frozen=True)
class Report:
    """The outcome of a run; rows = the sum of samples + the sum of rejects."""

    name: str
    output: str
    rows: int
    samples: dict[str, int]  # by split
    rejects: dict[str, int]  # by reason, most frequent first; including duplicates
    duplicates: int
    shards: int
    shard_bytes: int  # of all tars
    labels: int
    tags: int  # of all samples, including tags of their duplicates
    tags_matched_share: float  # share of the tags that led to a label, 0 to 1
    unlabelled: int  # samples without a label
    labels_cut: int  # labels that samples lost because of max_labels
    top_labels: tuple[TopLabel, ...]
    seconds: dict[str, float]  # by stage, of this start of the run; a resumed run skips finished stages
    image_stack: dict[str, str]
    code_version: str
    totals: dict[str, int] = field(default_factory=dict)  # of the whole corpus, where the run extended one
    sets: SetCounts = field(default_factory=SetCounts)  # what set work compared and found
    skipped: int = 0  # rows of the lists that are left out by `where` or the preset (videos)
    fetched_bytes: int = 0  # bytes of bodies, of this start of the run
    slowest_hosts: tuple[HostTime, ...] = ()  # hosts that took most of the fetch time, of this start of the run
    few_labels: FewLabels | None = None  # the likely cause, where hardly any tag led to a label
    compared: int | None = None  # rows whose digest in the list was compared; None: the list has none
    altered: int = 0  # rows with another image than the list's, if these are kept; else they are rejects
    rare_labels: int = 0  # labels with fewer than `advice.RARE_IMAGES` images of the train split

    def json(self) -> bytes:
        text = asdict(self) | {"warnings": self.warnings}
        return json.dumps(text, indent=2, sort_keys=False).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads `json`'s bytes."""
        text = json.loads(data)
        text.pop("warnings", None)  # they follow from the rest
        top = (
            TopLabel(**{**label, "lemmas": tuple(label["lemmas"]), "synsets": tuple(label.get("synsets", ()))})
            for label in text.pop("top_labels")
        )
        slowest = tuple(HostTime(**host) for host in text.pop("slowest_hosts", ()))
        sets = SetCounts.of(text.pop("sets"))
        few = FewLabels.of(found) if (found := text.pop("few_labels", None)) else None
        return cls(**text, top_labels=tuple(top), slowest_hosts=slowest, sets=sets, few_labels=few)

    @property
    def warnings(self) -> list[str]:
        """What a person should look at, the gravest first, a few sentences each."""
        train = self.totals.get("train", self.samples.get("train", 0))
        samples = sum(self.samples.values())
        copies = self.duplicates + self.rejects.get(Reason.NEAR_DUPLICATE, 0)
        few = self.few_labels
        most = max(self.top_labels, key=lambda label: label.images, default=TopLabel("", (), 0))
        return advice.given(
            few.warning if few else advice.on_no_label(self.labels, samples),
            None if few else advice.on_unlabelled(self.unlabelled, samples),
            advice.on_one_label(most.name, most.images, train),
            self._placeholders(),
            self._digests(),
            advice.on_copies(copies, self.rows),
            advice.on_rare_labels(self.rare_labels, self.labels),
            advice.on_shard_size(self.shard_bytes, self.shards),
        )

    def _digests(self) -> str | None:
        if self.compared or self.compared is None or not sum(self.samples.values()):
            return None
        return "No image was compared with a digest of the list: its columns of digests are empty."

    def _placeholders(self) -> str | None:
        """An image under many URLs that is not noticed becomes a training image, with the tags of all of them."""
        kept = [crowd for crowd in self.sets.crowds if not crowd.left_out]
        if not kept:
            return None
        most = max(kept, key=lambda crowd: crowd.urls)
        return (
            f"Of {len(kept):,} images the same bytes are under many URLs, of {most.key} under {most.urls:,}: placeholders? "
            "--placeholder-urls N drops those with at least N URLs; report.json lists them (crowds)."
        )
