"""Repeats studies of the papers on the demo's drawn images, and writes what each of them found.

python bench/studies.py [--studies NAME ...] [--corpus CORPUS] [--labels FILE] [--folder FOLDER] [--recipe FILE] [--seeds N]
                        [--images N] [--processes N] [--shared] [--out FILE.json]

Each study is what `tagmill study` makes, with linear probes on true labels, learnt from training samples and judged on held-out
ones. `teach` is what `tagmill teach run` makes. The corpus is one of `python -m tagmill.demo --rows 12000 --holdout 3000
--zipf 1.1 --output out/studies`, to which views are added. Finished runs are kept, so a call that was stopped goes on.
`seconds` are those of the steps of all runs together, on one core each; with `--shared` they are left out, because other work
on the machine made them longer.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, cast

from tagmill.bench import measure
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards import Corpus
from tagmill.studies.chain.chain_command import teach
from tagmill.studies.chain.chain_options import ChainOptions
from tagmill.studies.command.study_command import study
from tagmill.studies.command.study_options import StudyOptions
from tagmill.studies.kinds.table import StudyName
from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict.judge import judge_study
from tagmill.studies.verdict.sentences import claim_lines, spread_lines

TRUE = "true"  # name of the view of true labels
USUAL = ("scaling", "noise", "resampling")


def make_true_view(corpus: str, labels: Path) -> None:
    """Makes the view of true labels, which has the classes of the view of the tags, or finds it."""
    if TRUE not in Corpus.open(corpus).file.views:
        view(ViewConfig(corpus=corpus, name=TRUE, labels=str(labels), vocabulary=f"{corpus}#default"))


def found_by(name: str, options: argparse.Namespace) -> StudyResult:
    """Returns what a study found; makes those of its runs that are not there."""
    usual: dict[str, Any] = {
        "corpus": options.corpus,
        "recipe": str(options.recipe),
        "output": str(options.folder / name),
        "images": options.images,
        "processes": options.processes,
    }
    if options.seeds is not None:
        usual["seeds"] = options.seeds
    if name == "teach":
        found: object = teach(ChainOptions(labels=str(options.labels), **usual), quiet=False)
    else:
        usual |= {"probe_set": (f"{options.corpus}#{TRUE}",), "probe_split": "train", "probe_test_split": "holdout"}
        found = study(StudyOptions(name=cast("StudyName", name), **usual), quiet=False)
    assert isinstance(found, StudyResult)
    return found


def facts_of(found: StudyResult, *, shared: bool = False) -> dict[str, object]:
    """Returns a study as the case of a result: its arms with their means, its verdicts in words, and every run. Seconds of a
    machine that other work shares are left out."""
    verdict = judge_study(found)
    return {
        "title": found.title,
        "seeds": found.seeds,
        "code": found.plan["code"],
        "seconds": None if shared else round(sum(each.seconds for each in found.results)),
        "arms": [
            {
                "name": arm.name,
                "text": arm.text,
                "images": arm.images,
                "note": arm.note,
                "means": _means(found, arm.name),
            }
            for arm in found.arms
        ],
        "spread": spread_lines(verdict),
        "claims": [
            {
                "text": each.claim.text,
                "source": each.claim.source,
                "measure": each.claim.measure,
                "verdict": each.decision.verdict,
                "lines": claim_lines(each),
            }
            for each in verdict.claims
        ],
        "measures": dict(found.measures),
        "limits": list(found.limits),
        "runs": [
            {"arm": each.arm, "seed": each.seed, "measures": dict(each.measures), "failed": each.failed}
            for each in found.results
        ],
    }


def _means(found: StudyResult, arm: str) -> dict[str, list[float]]:
    """Returns the mean and the standard deviation over seeds of each measure of an arm."""
    runs = [each for each in found.results if each.arm == arm and not each.failed]
    values = {name: [each.measures[name] for each in runs if name in each.measures] for name in found.measures}
    return {name: [mean(own), stdev(own) if len(own) > 1 else 0.0] for name, own in values.items() if own}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", nargs="+", default=USUAL, help="names of tagmill study, and teach")
    parser.add_argument("--corpus", default="out/studies/corpus")
    parser.add_argument("--labels", type=Path, default=Path("out/studies/true_labels.parquet"))
    parser.add_argument("--folder", type=Path, default=Path("out/studies/made"), help="for the runs, which are kept")
    parser.add_argument("--recipe", type=Path, default=measure.ROOT / "recipes" / "study.toml")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--images", type=int)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--shared", action="store_true", help="other work runs here, so seconds say nothing")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    make_true_view(options.corpus, options.labels)
    cases = dict[str, dict[str, object]]()
    for name in options.studies:
        cases[name] = case = facts_of(found_by(name, options), shared=options.shared)
        print(f"{name}: {len(cast('list[object]', case['runs']))} runs, {case['seconds']} s")
        for claim in cast("list[dict[str, str]]", case["claims"]):
            print(f"  {claim['verdict'].upper()}: {claim['text']} [{claim['measure']}]")
        if options.out is not None:
            measure.write("studies", cases, {}, options.out)


if __name__ == "__main__":
    main()
