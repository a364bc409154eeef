"""What the measures of a run are, in the order to show them."""

from collections.abc import Iterable

from tagmill.studies.runs.run_result import RunResult

MEASURES = {
    "probe_top1": "linear probe, share of images that are right",
    "probe_mean_class": "linear probe, mean over the classes of the share that is right",
    "probe_top1_own": "linear probe on the classes of the narrow vocabulary alone, share of images that are right",
    "probe_mean_class_own": "the same, mean over its classes",
    "probe_top1_other": "linear probe on the other classes alone, share of images that are right",
    "probe_mean_class_other": "the same, mean over its classes",
    "probe_own_minus_other": "difference of the two probes: own classes minus other classes",
    "head_top1": "the network's own prediction on held-out samples, share that is one of their tags' labels",
    "head_mean_class": "the same, mean over the classes",
    "head_tail": "the same, mean over the third of the classes with the fewest training images",
    "validation_top1": "the network's own prediction on samples that are for choosing learning rates, share that is right",
    "train_top1": "the network's own prediction on training images, share that is one of the labels it was trained on",
    "train_top1_original": "the same, with the labels before any were replaced",
}


def measure_texts(results: Iterable[RunResult]) -> dict[str, str]:
    """Returns what each measure of the results is, in the order to show them; those of single sets last."""
    measured = {name for each in results for name in each.measures}
    known = {name: text for name, text in MEASURES.items() if name in measured}
    return {**known, **dict.fromkeys(sorted(measured - known.keys()), "")}
