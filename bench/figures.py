"""Writes measurements as a table, as JSON and as a plot."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tagmill.bench.remote import DISK
from tagmill.bench.workers import LIMITS, US, Case

RATE, CPU = "images_per_second", "cpu_seconds_per_1000_images"
NOT_FIGURES = (RATE, "versions", "seconds")


def ratios(cases: list[Case]) -> dict[str, float]:
    """Returns our images/s divided by each peer's, for the same output; with several locations, each divided by ours
    from disk."""
    ours = {case.output: case.median(RATE) for case in cases if case.peer.name == US and case.runs and at_home(case)}
    found = {}
    for case in cases:
        if case.runs and case.output in ours:
            if case.peer.name != US:
                found[f"{case.output}: {US}/{_with_place(case)}"] = ours[case.output] / case.median(RATE)
            elif not at_home(case):
                found[f"{case.output}: {case.place}/{DISK}"] = case.median(RATE) / ours[case.output]
    return found


def at_home(case: Case) -> bool:
    return case.place in ("", DISK)


def _with_place(case: Case) -> str:
    return ", ".join(filter(None, (case.peer.name, case.place)))


def _row(name: str, cells: list[str], heads: tuple[str, ...]) -> str:
    return f"{name:36}" + "".join(f"  {cell:>{len(head)}}" for cell, head in zip(cells, heads, strict=True))


HEADS = ("images/s", "tagmill/it", "CPU s/1,000", "it/tagmill", "peak MB", "first batch s", "since start s")


def table(cases: list[Case]) -> None:
    """Prints every case's medians, and the ratios of rate and processor time of ours to its own."""
    quotients = ratios(cases)
    for output in dict.fromkeys(case.output for case in cases):
        ours = next((case for case in cases if case.output == output and case.peer.name == US and case.runs), None)
        print("\n" + _row(f"{output}, batches of 3 x 224 x 224", list(HEADS), HEADS))
        for case in (case for case in cases if case.output == output):
            if not case.runs:
                print(f"{case.peer.name:36}  not measured: {case.reason}")
                continue
            quotient = quotients.get(f"{output}: {US}/{case.peer.name}")
            cells = [
                f"{case.median(RATE):,.0f}",
                f"{quotient:.2f}" if quotient else "",
                f"{case.median(CPU):.2f}",
                f"{case.median(CPU) / ours.median(CPU):.2f}" if ours and quotient else "",
                f"{case.median('peak_memory_bytes') / 1e6:,.0f}",
                f"{case.median('first_batch_seconds'):.2f}",
                f"{case.median('process_start_to_first_batch_seconds'):.2f}",
            ]
            print(_row(case.peer.name, cells, HEADS))


REMOTE_HEADS = ("images/s", "decoder waited", "holes", "requests", "failed", "MB read", "CPU s/1,000", "first batch s")


def remote_table(cases: list[Case]) -> None:
    """Prints the cost of a remote store. Requests are all of a run's, including those of reading ahead."""
    print("\n" + _row("", list(REMOTE_HEADS), REMOTE_HEADS))
    for case in cases:
        if not case.runs:
            print(f"{_with_place(case):36}  not measured: {case.reason}")
            continue
        cells = [f"{case.median(RATE):,.0f}", "", ""]
        if case.peer.name == US:
            waited = statistics.median(run["decoder_waited_seconds"] / run["seconds"] for run in case.runs)
            cells[1:] = [f"{100 * waited:.1f} %", f"{max(run['holes'] for run in case.runs):.0f}"]
        if "requests" in case.runs[0]:
            cells += [f"{case.median('requests'):,.0f}", f"{case.median('failed_requests'):,.0f}"]
            cells += [f"{case.median('answered_bytes') / 1e6:,.0f}"]
        else:
            cells += ["", "", ""]
        cells += [f"{case.median(CPU):.2f}", f"{case.median('first_batch_seconds'):.2f}"]
        print(_row(_with_place(case), cells, REMOTE_HEADS))


class Measured(Protocol):
    """A case of any benchmark whose rate is images per second: its runs, or why it has none."""

    @property
    def name(self) -> str: ...
    @property
    def runs(self) -> list[dict[str, Any]]: ...
    @property
    def reason(self) -> str | None: ...
    def median(self, figure: str) -> float: ...


def as_json(cases: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    """Returns cases in the format of every benchmark: medians of the figures, versions, and the reason of a missing
    peer."""
    found: dict[str, dict[str, Any]] = {}
    for case in cases:
        rates = [run[RATE] for run in case.runs]
        line: dict[str, Any] = {
            "unit": "images/s",
            "median": statistics.median(rates) if rates else None,
            "runs": rates,
        }
        if case.reason is not None:
            line["reason"] = case.reason
        if case.runs:
            line |= {figure: case.median(figure) for figure in case.runs[0] if figure not in NOT_FIGURES}
            if "versions" in case.runs[0]:
                line["versions"] = case.runs[0]["versions"]
        found[case.name] = line
    return found


def plot(cases: list[Case], file: Path) -> None:
    """Plots a bar for each case, with a thin line from the slowest run to the fastest; PNG or SVG by the name of
    `file`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    outputs = list(dict.fromkeys(case.output for case in cases))
    most = max(sum(case.output == output for case in cases) for output in outputs)
    figure, axes = pyplot.subplots(
        1, len(outputs), figsize=(6.4 * len(outputs), 0.6 + 0.36 * most), squeeze=False, layout="constrained"
    )
    for axis, output in zip(axes[0], outputs, strict=True):
        shown = [case for case in cases if case.output == output and case.runs][::-1]
        medians = [case.median(RATE) for case in shown]
        spread = [[m - min(r[RATE] for r in c.runs) for m, c in zip(medians, shown, strict=True)]]
        spread += [[max(r[RATE] for r in c.runs) - m for m, c in zip(medians, shown, strict=True)]]
        colours = [{US: "#1f6f8b", **dict.fromkeys(LIMITS, "#c9c9c9")}.get(case.peer.name, "#99b8a5") for case in shown]
        axis.barh([_with_place(case) for case in shown], medians, xerr=spread, color=colours, ecolor="#555555")
        for number, median in enumerate(medians):
            axis.annotate(f" {median:,.0f}", (0, number), va="center", fontsize=8)
        axis.set_xlabel(f"images/s, {output}")
        axis.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)
