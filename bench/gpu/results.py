"""Keeps the measurements on a GPU after every case, so that an aborted call keeps its results, and shows them."""

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

RATE, CPU = "images_per_second", "cpu_seconds_per_1000_images"
GRAPH, DECODER, LOADER = "graph from memory", "decoder alone", "tagmill, disk"
WEBDATASET = "webdataset + DataLoader"
# The aims: the two figures of a ratio, and its minimum.
AIMS = ((LOADER, GRAPH, 0.95), (LOADER, WEBDATASET, 3.0))
TRAINING_AIM = 0.98


class Results:
    """A JSON file of cases. An existing file is continued: its cases are not run again."""

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path = path
        self.content: dict[str, Any] = {"name": "gpu", "date": time.strftime("%Y-%m-%d"), **head, "cases": {}}
        if path.exists():
            before = json.loads(path.read_text())
            if before.get("machine") != head.get("machine"):
                self.content["earlier"] = [
                    *before.pop("earlier", []),
                    before,
                ]  # of another machine: kept, not continued
            else:
                self.content["cases"] = before["cases"]
                self.content["earlier"] = before.get("earlier", [])
        self.save()

    def case(self, part: str, corpus: str, name: str) -> dict[str, Any]:
        """Returns the entry of a case, with its runs so far."""
        key = ", ".join(filter(None, (part, corpus, name)))
        found: dict[str, Any] = self.content["cases"].setdefault(
            key, {"part": part, "corpus": corpus, "name": name, "runs": []}
        )
        return found

    def add(self, case: dict[str, Any], run: dict[str, Any] | None, reason: str | None = None) -> None:
        """Adds a run, or the reason why there is none, and writes the file."""
        if run is not None:
            case["runs"].append(run)
            case["median"] = statistics.median(each[RATE] for each in case["runs"])
            case.pop("reason", None)
        elif not case["runs"]:
            case["reason"] = reason
        self.save()

    def save(self) -> None:
        """Writes the file atomically."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".unfinished")
        beside.write_text(json.dumps(self.content, indent=1) + "\n")
        os.replace(beside, self.path)  # noqa: PTH105

    def of(self, *parts: str) -> list[dict[str, Any]]:
        """Returns the cases of some parts, in the order of their start."""
        return [case for case in self.content["cases"].values() if case["part"] in parts]


def aims(cases: list[dict[str, Any]]) -> list[str]:
    """Returns a line for each aim with its ratio; none for cases that were not measured."""
    lines = []
    medians = {(case["corpus"], case["name"]): case["median"] for case in cases if case["runs"]}
    for corpus in dict.fromkeys(case["corpus"] for case in cases):
        for ours, theirs, least in AIMS:
            if (corpus, ours) in medians and (corpus, theirs) in medians:
                ratio = medians[corpus, ours] / medians[corpus, theirs]
                lines.append(f"{corpus}: {ours} / {theirs} = {ratio:.2f} (aim: {least})")
    for case in cases:
        if case["runs"] and "ratios" in case["runs"][0]:
            ratio = statistics.median(each for run in case["runs"] for each in run["ratios"])
            lines.append(
                f"{case['corpus']}: {case['name']} with the loader / resident = {ratio:.3f} (aim: {TRAINING_AIM})"
            )
    return lines


def table(cases: list[dict[str, Any]]) -> str:
    """Returns one line for each case: images/s, ratio to the graph from memory, processor seconds per 1,000 images, GPU
    use."""
    graph = {case["corpus"]: case["median"] for case in cases if case["name"] == GRAPH and case["runs"]}
    heads = ("images/s", "of graph", "CPU s/1,000", "GPU %", "waited %", "of resident")
    rows: list[tuple[str, ...]] = [("", *heads)]
    for case in cases:
        name = f"{case['corpus']}: {case['name']}"
        if not case["runs"]:
            rows.append((name, f"not run: {case.get('reason', 'not begun')}"))
            continue
        runs, limit = case["runs"], graph.get(case["corpus"])
        shown = [
            f"{case['median']:,.0f}",
            f"{case['median'] / limit:.2f}" if limit and case["part"] != "training" else "",
        ]
        inner = [each for run in runs for each in run.get("loader", [run])]
        for figure, digits in ((CPU, 2), ("gpu_utilisation_percent", 0), ("waited_percent", 1)):
            values = [each[figure] for each in inner if figure in each]
            shown.append(f"{statistics.median(values):.{digits}f}" if values else "")
        ratios = [each for run in runs for each in run.get("ratios", [])]
        rows.append((name, *shown, f"{statistics.median(ratios):.3f}" if ratios else ""))
    width = max(len(row[0]) for row in rows)
    lines = []
    for row in rows:
        told = "  ".join(f"{cell:>11}" for cell in row[1:]) if len(row) > 2 else f"  {row[1]}"
        lines.append(f"{row[0]:{width}}  {told}".rstrip())
    return "\n".join(lines)


def plot(cases: list[dict[str, Any]], file: Path) -> bool:
    """Plots bars of images/s, a panel for each corpus; returns False without matplotlib or measurements."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [case for case in cases if case["runs"]]
    corpora = list(dict.fromkeys(case["corpus"] for case in shown))
    if not corpora:
        return False
    most = max(sum(case["corpus"] == corpus for case in shown) for corpus in corpora)
    size = (6.4 * len(corpora), 0.8 + 0.36 * most)
    figure, axes = pyplot.subplots(1, len(corpora), figsize=size, squeeze=False, layout="constrained")
    for axis, corpus in zip(axes[0], corpora, strict=True):
        mine = [case for case in shown if case["corpus"] == corpus][::-1]
        colours = ["#1f6f8b" if "tagmill" in c["name"] or c["part"] == "training" else "#99b8a5" for c in mine]
        axis.barh([case["name"] for case in mine], [case["median"] for case in mine], color=colours)
        for number, case in enumerate(mine):
            axis.annotate(f" {case['median']:,.0f}", (0, number), va="center", fontsize=8)
        axis.set_xlabel(f"images/s, {corpus}")
        axis.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)
    return True
