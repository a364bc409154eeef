"""Prints the demo's last screen, in words that a newcomer knows."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table


def verdict(summary: dict[str, Any]) -> tuple[bool, str]:
    """Returns whether the model learned, and the sentence that says so.

    Learned means: top-1 at least 5 times chance and 2 times the majority label, mean per-class accuracy 5 times chance.
    """
    top1, chance, majority = summary["top1"], summary["chance"], summary["majority"]
    learned = top1 >= 5 * chance and top1 >= 2 * majority and summary["mean_class_accuracy"] >= 5 * chance
    compared = f"{top1 / chance:.1f} times chance"
    if majority:  # among very few held-out images none may have the most frequent label
        compared += f", {top1 / majority:.1f} times the most frequent label"
    return learned, f"the model {'learned' if learned else 'did not learn'}: {compared}"


def summary_screen(console: Console, summary: dict[str, Any], left: Path) -> None:
    """Prints the summary, which is also in the file `left` of the demo's output."""
    output = left.parent
    rejects = summary["rejects"]
    found = {reason: rejects.get(reason, 0) for reason in ("near_duplicate", "evaluation")}
    broken = {reason: count for reason, count in rejects.items() if reason not in ("duplicate", *found)}
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_row(f"{summary['rows']:,}", "rows (image URL, hashtags) went in")
    table.add_row(f"{summary['samples']:,}", f"samples in shards, {summary['splits']['holdout']:,} of them held out")
    table.add_row(f"{summary['duplicates']:,}", "exact copies, whose tags were kept")
    table.add_row(f"{found['near_duplicate']:,}", "near copies, whose tags were kept")
    table.add_row(f"{found['evaluation']:,}", "images of the evaluation set, or nearly so, left out")
    top = ", ".join(f"{count} {reason}" for reason, count in sorted(broken.items(), key=lambda item: -item[1]))
    table.add_row(f"{sum(broken.values()):,}", f"broken answers, each with its reason: {top}")
    table.add_row(f"{summary['labels']:,}", "labels: hashtags with the same meaning are one, by WordNet")
    for backend, rate in summary["loader"].items():
        table.add_row(f"{rate:,.0f}", f"images/s from shards to training batches ({backend})")
    table.add_row(f"{summary['top1']:.1%}", f"top-1 on unseen images (top-5 {summary['top5']:.1%})")
    table.add_row(f"{summary['mean_class_accuracy']:.1%}", "mean over the labels")
    table.add_row(f"{summary['chance']:.1%}", f"chance; always the most frequent label: {summary['majority']:.1%}")
    (best, share), *others = summary["example"]["labels"]
    others = ", ".join(f"{score:.0%} {name}" for name, score in others)
    table.add_row(f"{share:.0%}", f"{best} is what the model sees in one unseen image ({others})")
    told = "  ".join(f"{name} {seconds:.0f} s" for name, seconds in summary["seconds"].items())
    table.add_row(f"{sum(summary['seconds'].values()):.0f} s", told)
    learned, sentence = verdict(summary)
    colour = "green" if learned else "yellow"
    console.print(
        Panel(
            table, title="[bold]tagmill demo[/bold]", subtitle=f"[{colour}]{sentence}[/{colour}]", border_style=colour
        )
    )
    for what, where in [
        ("the web and what was planted in it", f"{output}/web, {output}/web/truth.json"),
        ("the corpus, in plain tar", f"tar tf {output}/corpus/shards/000000.tar"),
        (
            "what the model sees in the image",
            f".venv/bin/tagmill predict {summary['example']['model']} {summary['example']['image']}",
        ),
        ("how hashtags became labels", f".venv/bin/tagmill corpus vocabulary {output}/corpus"),
        ("these figures", f"{left}"),
    ]:
        console.print(f"  {what:36}{where}", soft_wrap=True, highlight=False)
