"""The files of a judged study in a store."""

from tagmill.pages.drawing import png_drawing
from tagmill.shards import Store
from tagmill.studies.page.study_drawing import study_drawings
from tagmill.studies.page.study_facts import study_values
from tagmill.studies.page.study_page import study_page
from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict.judge import StudyVerdict, judge_study
from tagmill.transfer.outcome.canonical import canonical_json

STUDY_JSON, STUDY_PAGE = "study.json", "study.html"


def write_study(store: Store, result: StudyResult) -> StudyVerdict:
    """Judges a study and writes `study-1.png` and so on, one for each drawing, `study.html`, and `study.json` last: the same
    bytes for the same results and versions of libraries. Raises as `judge` does, before anything is written."""
    verdict = judge_study(result)
    facts = canonical_json(study_values(result, verdict), indent=1)
    page = study_page(result, verdict)
    for number, each in enumerate(study_drawings(result, verdict), 1):
        store.put(f"study-{number}.png", png_drawing(each.size, each.draw))
    store.put(STUDY_PAGE, page)
    store.put(STUDY_JSON, facts)
    return verdict
