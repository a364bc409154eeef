"""What `tagmill corpus view` prints at its end: the figures of the view, what each means, and what to do next."""

from tagmill.ingest.views.build import Labelled
from tagmill.ingest.views.table.label_rows import RowCounts
from tagmill.shards.terminal import advice
from tagmill.shards.terminal.lines import WIDTH, Figure, command_line, figure_lines, next_lines, warning_lines
from tagmill.shards.terminal.safe_text import safe_text


def view_ending(name: str, corpus: str, samples: int, labelled: Labelled, width: int = WIDTH) -> list[str]:
    """Returns the lines; `corpus` has `samples` in its train split. Figures that are 0 are left out."""
    labels = [(label.name, label.images) for label in labelled.vocabulary.labels]
    few = labelled.few_labels
    warnings = advice.given(
        few.warning if few else None,
        None if few else advice.on_unlabelled(labelled.unlabelled, samples),
        *(advice.on_labels(labels, samples) if labels or not few else ()),
    )
    learn = labelled.epoch_samples > 0
    return [
        safe_text(f"view {name}: {labelled.view.path}", 400),
        *figure_lines(_figures(labelled), width),
        *warning_lines(warnings, width),
        *next_lines(
            command_line("tagmill", "corpus", "vocabulary", corpus, "--view", name),
            *(
                [command_line("tagmill", "corpus", "plan", corpus, "--batch-size", "256", "--view", name)]
                if learn
                else []
            ),
            *([command_line("tagmill", "train", "--corpus", corpus, "--view", name)] if learn and labels else []),
        ),
    ]


def _figures(labelled: Labelled) -> list[Figure]:
    tags = f"{labelled.tags:,}" + (f", {labelled.tags_matched / labelled.tags:.0%} matched" if labelled.tags else "")
    found = [
        Figure("labels", f"{len(labelled.vocabulary):,}", "Classes that a training learns."),
        *(
            [Figure("tags", tags, "Of all samples with their copies. Matched tags have a meaning in WordNet.")]
            if labelled.rows is None
            else _row_figures(labelled.rows)
        ),
        Figure(
            "unlabelled", f"{labelled.unlabelled:,} samples", "Training skips them. Below half of the samples is good."
        ),
    ]
    if labelled.t is not None:
        legend = "Share of images below which a label's images are repeated."
        if labelled.capped:
            legend = "Images of a label above which they are shown less than once an epoch."
        found.append(Figure("threshold", f"{labelled.t:.3g}", legend))
    counts = [
        ("labels cut", labelled.labels_cut, "labels", "Lost by samples with more labels than --max-labels."),
        ("left out", labelled.left_out, "samples", "Excluded, outside of the subset, or taken down."),
        ("noise", labelled.labels_replaced, "labels", "Training labels replaced by others, as --noise asks."),
        ("noise merged", labelled.labels_merged, "labels", "Replaced by a label that the image had already."),
        ("epoch", labelled.epoch_samples, "samples", "Of the train split in an epoch, with their repeats."),
    ]
    return [*found, *(Figure(name, f"{count:,} {unit}", legend) for name, count, unit, legend in counts if count)]


def _row_figures(rows: RowCounts) -> list[Figure]:
    counts = [
        ("unknown keys", rows.unknown_keys, "No sample of the corpus has their key."),
        ("unknown labels", rows.unknown_labels, "No label of the vocabulary has their id or name."),
        ("repeated rows", rows.repeated, "Of a key and a label that another row has."),
    ]
    used = Figure("table", f"{rows.total:,} rows, {rows.used:,} used", "Labels of samples, in place of tags.")
    return [used, *(Figure(name, f"{count:,} rows", legend) for name, count, legend in counts if count)]
