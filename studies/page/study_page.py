"""The page of a study: one HTML file, without scripts and without network."""

from collections.abc import Mapping

from tagmill.pages.drawing import svg_drawing
from tagmill.pages.standalone import standalone_page
from tagmill.studies.page.study_drawing import study_drawings
from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict import sentences
from tagmill.studies.verdict.judge import ArmMean, StudyVerdict
from tagmill.studies.verdict.seeds import ERROR_RATE
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.report.report_facts import library_versions


def study_page(result: StudyResult, verdict: StudyVerdict) -> bytes:
    """Returns the page as UTF-8. Raises TagmillError where it would be longer than a page may be."""
    means: dict[tuple[str, str], ArmMean] = {(each.arm, each.measure): each for each in verdict.means}
    values = {
        "result": result,
        "verdict": verdict,
        "drawings": [(each, svg_drawing(each.title, each.size, each.draw)) for each in study_drawings(result, verdict)],
        "means": means,
        "measures": shown_measures(result, verdict),
        "say": sentences,
        "error_rate": ERROR_RATE,
        "settings": [(name, value) for name, value in result.plan.items() if name != "runs"],
        "versions": library_versions(),
        "text": lambda value: canonical_json(value).decode().strip(),
    }
    return standalone_page("tagmill.studies.page", "study.html.jinja", values)


def shown_measures(result: StudyResult, verdict: StudyVerdict) -> Mapping[str, str]:
    """Returns the measures of the page with their texts: those that a claim is about first, then all that a run has."""
    asked = [each.claim.measure for each in verdict.claims]
    found = dict.fromkeys([*asked, *result.measures, *(each.measure for each in verdict.means)])
    return {name: result.measures.get(name, "") for name in found}
