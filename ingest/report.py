"""The numbers of an ingest: `report.json`, and the same as tables for a terminal."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tagmill.ingest.dedup.resolve import SetCounts
from tagmill.ingest.labels.coverage import FewLabels
from tagmill.ingest.progress.host_times import HostTime
from tagmill.ingest.reasons import Reason

REPORT_FILE = "report.json"
TOP_LABELS = 20
TOP_CROWDS = 10


@dataclass(frozen=True)
class TopLabel:
    """One of the commonest labels."""

    name: str  # the readable name; its synsets in corpora of earlier versions
    lemmas: tuple[str, ...]
    images: int  # of the train split
    synsets: tuple[str, ...] = ()


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
    skipped: int = 0  # lines of the lists that a preset skips (videos); they are not rows
    fetched_bytes: int = 0  # bytes of bodies, of this start of the run
    slowest_hosts: tuple[HostTime, ...] = ()  # hosts that took most of the fetch time, of this start of the run
    few_labels: FewLabels | None = None  # the likely cause, where hardly any tag led to a label

    def json(self) -> bytes:
        return json.dumps(asdict(self), indent=2, sort_keys=False).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads `json`'s bytes."""
        text = json.loads(data)
        top = (
            TopLabel(**{**label, "lemmas": tuple(label["lemmas"]), "synsets": tuple(label.get("synsets", ()))})
            for label in text.pop("top_labels")
        )
        slowest = tuple(HostTime(**host) for host in text.pop("slowest_hosts", ()))
        sets = SetCounts.of(text.pop("sets"))
        few = FewLabels.of(found) if (found := text.pop("few_labels", None)) else None
        return cls(**text, top_labels=tuple(top), slowest_hosts=slowest, sets=sets, few_labels=few)

    def table(self) -> RenderableType:
        """Returns what a terminal shows at the end of a run."""
        rejects = [self._rejects()] if self.rejects else []
        few = [warning(self.few_labels)] if self.few_labels else []
        return Group(self._counts(), *rejects, *set_tables(self.sets), self._labels(), *few)

    def _counts(self) -> Table:
        table = Table(title=f"{self.name}: {self.output}", show_header=False, title_justify="left")
        for name, value in [
            ("rows", f"{self.rows:,}" + (f", and {self.skipped:,} skipped lines" if self.skipped else "")),
            ("samples", f"{sum(self.samples.values()):,} ({_list(self.samples)})"),
            ("rejects", f"{sum(self.rejects.values()):,}, {self.duplicates:,} of them duplicates"),
            ("shards", f"{self.shards:,}, {self.shard_bytes / 1e6:,.1f} MB"),
            *([("the corpus now", _list(self.totals))] if self.totals else []),
            ("labels", f"{self.labels:,}"),
            ("tags", f"{self.tags:,}, {self.tags_matched_share:.0%} led to a label"),
            ("samples without a label", f"{self.unlabelled:,}"),
            ("labels cut", f"{self.labels_cut:,}"),
            ("seconds", ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items())),
            ("fetched", f"{self.fetched_bytes / 1e6:,.1f} MB"),
            ("slowest hosts", ", ".join(f"{each.host} {each.seconds:,.0f} s" for each in self.slowest_hosts[:3])),
            ("images made by", " ".join(f"{name} {value}" for name, value in self.image_stack.items())),
        ]:
            table.add_row(name, escape(value))
        return table

    def _rejects(self) -> Table:
        table = Table("reason", "rows", "share", "means", title="Rejects", title_justify="left")
        for reason, count in self.rejects.items():
            table.add_row(reason, f"{count:,}", f"{count / self.rows:.1%}", Reason(reason).meaning)
        return table

    def _labels(self) -> Table:
        table = Table("label", "words", "images", title="Commonest labels", title_justify="left")
        for label in self.top_labels:
            table.add_row(escape(label.name), ", ".join(label.lemmas[:3]), f"{label.images:,}")
        return table


def warning(few: FewLabels) -> RenderableType:
    """Warns that hardly any tag led to a label, with the likely cause and the most frequent unmatched tags."""
    table = Table("tag", "token", "times", title="Commonest tags without a label", title_justify="left")
    for each in few.unmatched:
        table.add_row(escape(each.written[:60]), escape(each.token), f"{each.tags:,}")
    share = (
        f"{few.tags_matched / few.tags:.1%} of {few.tags:,} tags led to a label" if few.tags else "there are no tags"
    )
    remedy = few.remedy if few.cause in ("rules", "words", "vocabulary") else f"ingest again and {few.remedy}"
    message = Text(f"Hardly any labels, {share}: {few.why}; {remedy}.", style="bold red")
    return Group(table, message) if few.unmatched else message


def set_tables(sets: SetCounts) -> list[Table]:
    """Returns tables of what set work found, with the predicted recall of near duplicates."""
    tables = []
    if sets.near is not None and sets.near.hashes:
        near = sets.near
        title = f"Near duplicates: {near.tables} tables of {near.bits} bits over {near.hashes:,} hashes"
        table = Table("Hamming distance", "pairs found", "predicted recall", title=title, title_justify="left")
        for distance, share in enumerate(near.predicted):
            table.add_row(str(distance), f"{sets.pairs.get(str(distance), 0):,}", f"{share:.1%}")
        table.caption = f"{near.low_quality:,} images of too low PDQ quality were not compared; " + (
            f"{near.crowded_buckets:,} large buckets with {near.crowded_rows:,} members were compared in part"
        )
        tables.append(table)
    if sets.evaluation:
        names = ("pictures", "broken", "low_quality", "found", "found_same_bytes", "met")  # keys of report.json
        table = Table("evaluation set", *(name.replace("_", " ") for name in names), title="Evaluation sets")
        for name, counts in sets.evaluation.items():
            table.add_row(name, *(f"{counts[each]:,}" for each in names))
        tables.append(table)
    return [*tables, *([_crowds(sets)] if sets.crowds else [])]


def _crowds(sets: SetCounts) -> Table:
    """Returns a table of images under many URLs: a placeholder that is not noticed becomes a training image."""
    names = ("key", "URLs", "with tags", "different tags", "with the most frequent tag", "")
    table = Table(*names, title="The same bytes under many URLs: a placeholder?", title_justify="left")
    for crowd in sets.crowds[:TOP_CROWDS]:
        counts = (f"{count:,}" for count in (crowd.urls, crowd.tagged, crowd.tags, crowd.commonest))
        table.add_row(crowd.key, *counts, "dropped" if crowd.left_out else "kept")
    table.caption = "dropped where the tags have nothing in common; --placeholder-urls N drops all with at least N URLs"
    return table


def _list(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
