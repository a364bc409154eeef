"""`tagmill transfer zero-shot`: a model that has seen hashtags only, judged on classes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from tagmill.shards import Corpus, Store, View
from tagmill.shards.settings.options import CommandLine
from tagmill.shards.settings.ranges import Between, Count, CountOrZero
from tagmill.shards.terminal.safe_text import ERROR_CELLS, safe_cell
from tagmill.transfer.command.ranks import one_process
from tagmill.transfer.features.backbone import read_model
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.outcome.figures import figures_of
from tagmill.transfer.outcome.intervals import Estimate
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.outcome_file import outcome_bytes
from tagmill.transfer.report.report_facts import Judged, RunFacts
from tagmill.transfer.report.report_files import REPORT_PAGE, write_report
from tagmill.transfer.sets.any_label import with_any_label
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.open_set import REAL, open_set
from tagmill.transfer.zero_shot.calibration import HOTTEST, Calibration
from tagmill.transfer.zero_shot.class_map import MOST_STEPS, map_classes
from tagmill.transfer.zero_shot.logits import LabelModel
from tagmill.transfer.zero_shot.zero_shot import ZeroShot, calibration_of, covered_rows, label_places, zero_shot

ZERO_SHOT_FILE = "zero-shot.json"
_NAMES_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class ZeroShotOptions:
    """Which model is judged on which set, and what calibrates it."""

    model: tyro.conf.Positional[str]
    """Exported folder, output of a run, checkpoint (a path or a URL), or timm:NAME."""
    images: tyro.conf.Positional[str]
    """Labelled set whose classes have synset ids, or nouns as names."""
    output: Path
    """Folder for zero-shot.json, report.json, report.html and an outcome for each score."""
    split: str | None = None
    """Part of the set; by default all of it."""
    any_label: bool = False
    """Judge images of several labels too: a prediction is right if it is one of them; imagenet-real always does it."""
    corpus: str | None = None
    """Corpus whose images and tags calibrate the model, best the one it was trained on; without it nothing is calibrated."""
    view: str = "default"
    """View of the corpus with the labels of the model."""
    corpus_split: Literal["holdout", "train"] = "holdout"
    """Part of the corpus that calibrates; train is for a corpus without held-out images."""
    calibration_images: Count = 5_000
    """Images of the corpus that are used."""
    temperature: Annotated[float, Between(1 / HOTTEST, HOTTEST)] | None = None
    """Temperature of the outputs; by default the one under which the corpus's tags are likeliest."""
    most_steps: CountOrZero = MOST_STEPS
    """Hypernym edges to the nearest label of a class that has none of its own; 0 for labels of the same synset only."""
    errors_shown: Annotated[int, Between(0, 200)] = 24
    """Errors of each score that the page shows as small images; give 0 where images show people."""
    network: str | None = None
    """Network in timm, for a .safetensors file that does not name it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the model; auto is a GPU if there is one."""
    threads: Count | None = None
    """Threads that read and decode; by default the cores of the machine."""


ZERO_SHOT_COMMAND = CommandLine(
    "tagmill transfer zero-shot",
    "Judge the hashtags that a model predicts as classes of a labelled set, without any training.",
    (ZeroShotOptions,),
)


def zero_shot_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill transfer zero-shot` command line. Raises TagmillError for models and sets that do not do."""
    (chosen,) = ZERO_SHOT_COMMAND.parse(arguments)
    one_process("tagmill transfer zero-shot")
    trained, (images, left_out) = read_model(chosen.model, chosen.network), judged_set(chosen)
    model = LabelModel(trained, chosen.device, chosen.threads)
    mapped = map_classes(images.classes, model.labels, chosen.most_steps)
    found = zero_shot(model, images, mapped, _calibration(chosen, model), left_out)
    store, facts = Store(str(chosen.output)), zero_shot_facts(found)
    made = RunFacts(
        *(chosen.model, trained.digest, trained.network, None, None, images.name, images.digest),
        {"corpus": chosen.corpus, "view": chosen.view, "most_steps": chosen.most_steps},
    )
    notes = [_without_a_label(facts)] if found.uncovered else []
    write_report(store, made, list(_kept(store, found)), images, images=chosen.errors_shown, notes=notes)
    store.put(ZERO_SHOT_FILE, canonical_json(facts, indent=1))
    _print(facts, found.calibration)
    Console().print(safe_cell(str(chosen.output / REPORT_PAGE), ERROR_CELLS))


def judged_set(chosen: ZeroShotOptions) -> tuple[LabelledSet, Mapping[str, int]]:
    """Opens the set; where any of several labels is right returns its images with labels, and the number of the others by
    reason."""
    images = open_set(chosen.images, chosen.split)
    return with_any_label(images) if chosen.any_label or chosen.images.startswith(f"{REAL}:") else (images, {})


def zero_shot_name(outcome: Outcome) -> str:
    """Returns the name of an outcome's file, such as `zero-shot-calibrated-sum.parquet`."""
    state = "calibrated" if outcome.settings["calibrated"] else "plain"
    some = "-labelled" if "classes" in outcome.settings else ""
    return f"{outcome.protocol}-{state}-{outcome.settings['score']}{some}.parquet"


def _kept(store: Store, found: ZeroShot) -> Iterator[Judged]:
    """Writes the outcomes, and where classes have no label also those of the other classes."""
    covered = [covered_rows(each, found.mapped) for each in found.outcomes] if found.uncovered else []
    for outcome in (*found.outcomes, *(each for each in covered if len(each.keys))):
        name, data = zero_shot_name(outcome), outcome_bytes(outcome)
        store.put(name, data)
        yield Judged(outcome, hashlib.sha256(data).hexdigest(), name)


def zero_shot_facts(found: ZeroShot) -> dict[str, Any]:
    """Returns what the command writes: accuracies of all images and of those whose class has a label, and the labels of each
    class."""
    first = found.outcomes[0]
    rows = [
        {
            "score": outcome.settings["score"],
            "calibrated": outcome.settings["calibrated"],
            "outcome": zero_shot_name(outcome),
            "all": _accuracy(outcome),
            "with_a_label": _accuracy(covered_rows(outcome, found.mapped)),
        }
        for outcome in found.outcomes
    ]
    classes = [
        {"name": each.name, "synset": each.synset, "labels": list(own.labels), "how": own.how, "steps": own.steps}
        for each, own in zip(first.classes, found.mapped, strict=True)
    ]
    return {
        "model": first.model,
        "model_digest": first.settings["model_digest"],
        "set": first.set,
        "set_digest": first.settings["set_digest"],
        "images": len(first.keys),
        "skipped": dict(first.skipped),
        "without_a_label": list(found.uncovered),
        "calibration": dict(found.calibration.facts),
        "results": rows,
        "classes": classes,
    }


def _calibration(chosen: ZeroShotOptions, model: LabelModel) -> Calibration | None:
    if chosen.corpus is None:
        return None
    vocabulary = View.open(Corpus.open(chosen.corpus), chosen.view).vocabulary
    tags = label_places([frozenset(label.synsets) for label in vocabulary.labels], model.labels)
    unlabelled = open_set(f"corpus:{chosen.corpus}#{chosen.view}", chosen.corpus_split)
    return calibration_of(model, unlabelled, tags, chosen.calibration_images, chosen.temperature)


def _accuracy(outcome: Outcome) -> dict[str, object] | None:
    if not len(outcome.keys):
        return None
    figures = figures_of(outcome)
    top5 = None if figures.top5 is None else figures.top5._asdict()
    return {"images": figures.images, "right": figures.right, "top1": figures.top1._asdict(), "top5": top5}


def _print(facts: dict[str, Any], calibration: Calibration) -> None:
    console = Console()
    table = Table("score", "outputs", "all images", "classes with a label", box=None)
    for row in facts["results"]:
        state = "calibrated" if row["calibrated"] else "as they are"
        table.add_row(row["score"], state, _shown(row["all"]), _shown(row["with_a_label"]))
    console.print(table)
    if calibration.facts["calibrated"]:
        temperature, images = calibration.temperature, calibration.facts["unlabelled_images"]
        console.print(f"calibrated on {images:,} images, temperature {temperature:.3g}", highlight=False)
    else:
        console.print("not calibrated: give --corpus for that", highlight=False)
    if facts["without_a_label"]:
        console.print(safe_cell(_without_a_label(facts), ERROR_CELLS))
    if facts["skipped"]:
        console.print(
            safe_cell(f"left out: {', '.join(f'{n:,} {why}' for why, n in facts['skipped'].items())}", ERROR_CELLS)
        )


def _without_a_label(facts: dict[str, Any]) -> str:
    missing = facts["without_a_label"]
    names = ", ".join(missing[:_NAMES_SHOWN]) + (", ..." if len(missing) > _NAMES_SHOWN else "")
    return f"{len(missing):,} of {len(facts['classes']):,} classes have no label, all their images are errors: {names}"


def _shown(accuracy: dict[str, Any] | None) -> str:
    if accuracy is None:
        return "no images"
    top1 = Estimate(**accuracy["top1"])
    return f"{top1.value:.1%} ({top1.low:.1%} to {top1.high:.1%}) of {accuracy['images']:,}"
