"""`tagmill transfer audit`: whether a model predicts labels more often for one group of subjects than for the others."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from tagmill.shards import Store
from tagmill.shards.settings.options import CommandLine
from tagmill.shards.settings.ranges import Between, Count, CountOrZero
from tagmill.shards.terminal.safe_text import ERROR_CELLS, safe_cell
from tagmill.training.trained.labels import unique_names
from tagmill.transfer.audit.associations import associate
from tagmill.transfer.audit.attribute_table import read_attributes
from tagmill.transfer.audit.audit_facts import audit_facts
from tagmill.transfer.audit.audit_page import FindingImages, audit_page, finding_images
from tagmill.transfer.audit.subject_counts import count_hits, subtrees
from tagmill.transfer.command.ranks import one_process
from tagmill.transfer.features.backbone import read_model
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.sets.open_set import open_set
from tagmill.transfer.sets.skip_reasons import NO_ATTRIBUTE
from tagmill.transfer.zero_shot.logits import LabelModel

AUDIT_FILE, AUDIT_PAGE = "audit.json", "audit.html"
_SHOWN = 12  # results on the terminal


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """Which model is audited, on which images, by which attribute."""

    model: tyro.conf.Positional[str]
    """Exported folder, output of a run, checkpoint (a path or a URL), or timm:NAME."""
    images: tyro.conf.Positional[str]
    """Labelled set with the images, such as a folder for each subject; its labels are not used."""
    attributes: str
    """Table (.csv or .parquet) with the columns key (of the set), subject, and one for each attribute."""
    attribute: str
    """Column of the table that divides the subjects into groups; no attribute is guessed from an image."""
    output: Path
    """Folder for audit.json and audit.html."""
    split: str | None = None
    """Part of the set; by default all of it."""
    best: Count = 5
    """Labels of an image that count as predicted, the best ones."""
    level: Annotated[float, Between(0, 0.5, above=True)] = 0.05
    """Chance of any finding, over all labels and groups together, where there is no association."""
    permutations: Count = 9_999
    """Permutations of subjects for the test."""
    draws: Count = 2_000
    """Samples of subjects for the intervals."""
    seed: CountOrZero = 0
    """Seed of permutations and samples."""
    subtrees: bool = True
    """Also test subtrees of WordNet, such as all labels below clothing."""
    pictures: bool = False
    """Show some images of each finding on the page; they may be images of people."""
    network: str | None = None
    """Network in timm, for a .safetensors file that does not name it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the model; auto is a GPU if there is one."""
    threads: Count | None = None
    """Threads that decode; by default the cores of the machine."""


AUDIT_COMMAND = CommandLine(
    "tagmill transfer audit",
    "Test whether a model predicts labels more often for one group of subjects than for the others.",
    (AuditOptions,),
)


def audit_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill transfer audit` command line. Raises TagmillError for models, sets and tables that do not do."""
    (chosen,) = AUDIT_COMMAND.parse(arguments)
    one_process("tagmill transfer audit")
    facts, examples = audit(chosen)
    store = Store(str(chosen.output))
    store.put(AUDIT_FILE, canonical_json(facts, indent=1))
    store.put(AUDIT_PAGE, audit_page(facts, examples))
    _print(facts, str(chosen.output / AUDIT_PAGE))


def audit(chosen: AuditOptions) -> tuple[dict[str, Any], list[FindingImages]]:
    """Returns what the command writes, see `audit_facts`, and images of the findings if they are asked for."""
    attributes = read_attributes(chosen.attributes, chosen.attribute)
    images = open_set(chosen.images, chosen.split)
    places = [place for place, each in enumerate(images.examples) if each.key in attributes.subject_of]
    skipped = Counter({NO_ATTRIBUTE: len(images) - len(places)})
    model = LabelModel(read_model(chosen.model, chosen.network), chosen.device, chosen.threads)
    most = min(chosen.best, len(model.labels))
    seen, top = [np.empty(0, np.int64)], [np.empty((0, most), np.int64)]
    for block in model.blocks(images, places, skipped):
        seen.append(block.places)
        top.append(np.argsort(-block.values, axis=1, kind="stable")[:, :most])
    judged, best = np.concatenate(seen), np.concatenate(top)
    keys = [images.examples[place].key for place in judged.tolist()]
    trees = subtrees(model.labels) if chosen.subtrees else ()
    counts = count_hits(keys, best, unique_names(model.labels), trees, attributes)
    found = associate(counts, chosen.level, chosen.permutations, chosen.draws, chosen.seed)
    made_by = {
        "model": model.where,
        "model_digest": model.digest,
        "set": images.name,
        "set_digest": images.digest,
        "attribute": chosen.attribute,
        "images": len(keys),
        "skipped": dict(+skipped),
        "seed": chosen.seed,
        "draws": chosen.draws,
    }
    examples = list[FindingImages]()
    if chosen.pictures:
        groups = [attributes.group_of[attributes.subject_of[key]] for key in keys]
        examples = finding_images(found, images, judged, best, groups)
    return audit_facts(found, made_by, most), examples


def _print(facts: dict[str, Any], where: str) -> None:
    console = Console()
    groups = ", ".join(f"{each['name']} {each['subjects']:,}" for each in facts["groups"])
    console.print(safe_cell(f"{facts['attribute']}: {groups} subjects, {facts['images']:,} images", ERROR_CELLS))
    shown = [each for each in facts["results"] if any(group["finding"] for group in each["groups"])]
    if shown:
        table = Table("label", "group", "rate", "difference", "interval", "p", box=None)
        for each in shown[:_SHOWN]:
            group = min(each["groups"], key=lambda one: (one["p"], -abs(one["difference"])))
            name = f"{each['name']} (subtree of {each['labels']})" if each["subtree"] else each["name"]
            ends = f"{100 * group['low']:+.1f} to {100 * group['high']:+.1f}"
            figures = (f"{group['rate']:.1%}", f"{100 * group['difference']:+.1f}", ends, f"{group['p']:.4f}")
            table.add_row(*map(safe_cell, (name, group["group"], *figures)))
        console.print(table)
    console.print(
        f"{facts['findings']:,} of {facts['tested']:,} labels and subtrees differ at the level {facts['level']:g}; "
        f"{facts['untested']:,} were seen with too few subjects to be tested",
        highlight=False,
    )
    for sentence in facts["cannot_tell"][:2]:
        console.print(sentence, highlight=False)
    console.print(safe_cell(where, ERROR_CELLS))
