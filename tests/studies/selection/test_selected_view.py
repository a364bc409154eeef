"""A selection becomes a view: labels are those of a brute force, on either engine, killed or not; errors are one line."""

import hashlib
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagmill.ingest.takedown.takedown_command import TakedownConfig, take_down
from tagmill.ingest.views.recipe import view_rules_of
from tagmill.shards import ConfigError, Corpus, CorpusError, Store, View
from tagmill.shards.errors import TagmillError
from tagmill.shards.lint import lint_view
from tagmill.studies.scores.score_files import DONE_FILE
from tagmill.studies.selection.select_options import SelectOptions
from tagmill.studies.selection.selected_view import Selected, select
from tagmill.training.trained.labels import ModelLabel
from tests.browse.worded import key_of, make_worded
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.studies.selection.scored import LABELS, Rows, best_of_all, best_of_each, write_scores
from tests.warm.python import warm_python

ROWS: Rows = [
    *[(key_of(n), label, 40000 - 9000 * place) for n in range(9) for place, label in enumerate((n % 2, 2, n % 3))
      if (label, place) != (n % 2, 2) and not (label == 2 and place == 2)],
]  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("selection")
    corpus = make_worded(folder / "corpus")
    write_scores(str(folder / "scores"), corpus, ROWS)
    return corpus.store.url


def options(url: str, **more: Any) -> SelectOptions:
    given = {"scores": f"{Path(url).parent}/scores", "corpus": url, "view": "student", "processes": 1, "k": 3}
    return SelectOptions(**{**given, **more})


def labels_of(url: str, name: str = "student") -> dict[str, list[int]]:
    view = View.open(Corpus.open(url), name)
    rows = np.concatenate([view.labels(n, 0, line.samples) for n, line in enumerate(view.shards)])
    return {key_of(n): sorted(row[row >= 0].tolist()) for n, row in enumerate(rows) if (row >= 0).any()}


def test_excluded_samples_are_never_chosen_and_others_take_their_places(url: str, tmp_path: Path) -> None:
    excluded = {key for key, _, _ in best_of_each(ROWS, 1)}
    (tmp_path / "keys.txt").write_text("\n".join(sorted(excluded)))
    select(options(url, view="without", exclude=str(tmp_path / "keys.txt")))
    assert labels_of(url, "without") == as_labels(best_of_each([row for row in ROWS if row[0] not in excluded], 3))
    recipe = View.open(Corpus.open(url), "without").file.recipe
    assert recipe["excluded"] == hashlib.sha256("\n".join(sorted(excluded)).encode()).hexdigest()
    (tmp_path / "keys.txt").write_text("no key")
    with pytest.raises(ConfigError, match="'no key' is no key"):
        select(options(url, view="without", exclude=str(tmp_path / "keys.txt")))


def as_labels(rows: Rows) -> dict[str, list[int]]:
    return {key: sorted(label for own, label, _ in rows if own == key) for key, _, _ in rows}


def test_the_view_has_the_labels_of_the_brute_force(url: str) -> None:
    made = select(options(url))
    best = best_of_each(ROWS, 3)
    assert labels_of(url) == as_labels(best) and lint_view(Corpus.open(url), "student") is not False
    view = View.open(Corpus.open(url), "student")
    recipe = view.file.recipe["labels"]
    assert (recipe["kind"], recipe["rule"], recipe["k"], recipe["p"]) == ("selection", "balanced", 3, 3)
    assert len(recipe["scores"]) == 64 and view.file.max_labels == 3 and view.file.seed == 0
    assert [label.name for label in view.vocabulary.labels] == ["dog", "bear", "oak", "cat"]
    assert made.facts.empty == ["cat"] and made.facts.chosen.images == len(as_labels(best))
    page = Path(made.page).read_bytes()
    assert made.page.startswith(f"{url}/report/selections/student-") and page.count(b"<img") == 9
    with pytest.raises(ConfigError, match="come from a table"):
        view_rules_of(view)
    again = select(options(url, view="again", processes=2))
    assert again.labelled.view.sha256 != made.labelled.view.sha256  # the name is in view.json
    assert labels_of(url, "again") == labels_of(url)


def test_comparisons_have_as_many_images_and_their_own_digest(url: str) -> None:
    balanced = select(options(url))
    together = select(options(url, view="together", rule="unbalanced", images=0))
    assert labels_of(url, "together") == as_labels(best_of_all(ROWS, balanced.facts.chosen.images))
    assert together.facts.chosen.images == balanced.facts.chosen.images
    assert b"<img" not in Path(together.page).read_bytes()


def test_k_above_the_count_takes_what_is_there_and_a_share_scales_k(url: str) -> None:
    made = select(options(url, k=1000))
    assert labels_of(url) == as_labels(ROWS) and made.facts.short == 3
    assert select(options(url, k=12, k_share=0.25)).labelled.view == select(options(url, k=3)).labelled.view
    assert options(url, k=2, k_share=0.001).k_scaled == 1


def test_fewer_labels_of_an_image_can_select_it_than_the_scores_have(url: str) -> None:
    made = select(options(url, k=1000, top_labels=1))
    first = list({row[0]: row for row in reversed(ROWS)}.values())  # rows of an image are best first
    assert labels_of(url) == as_labels(first) and made.facts.p == 1
    assert select(options(url, top_labels=3)).labelled.view == select(options(url)).labelled.view
    with pytest.raises(ConfigError, match="--top-labels 4 is above the 3 labels"):
        select(options(url, top_labels=4))


def test_samples_that_are_taken_down_are_not_chosen_and_pages_go(tmp_path: Path, url: str) -> None:
    mine = str(tmp_path / "corpus")
    shutil.copytree(url, mine)
    shutil.copytree(Path(url).parent / "scores", tmp_path / "scores")
    first = select(options(mine, k=2))
    gone = best_of_each(ROWS, 1)[0][0]
    (tmp_path / "keys").write_text(f"{gone}\n")
    take_down(TakedownConfig(corpus=mine, keys=str(tmp_path / "keys")), datetime(2026, 1, 1, tzinfo=UTC))
    assert not Path(first.page).exists()
    select(options(mine, k=2, page=str(tmp_path / "page.html")))
    assert labels_of(mine) == as_labels(best_of_each([row for row in ROWS if row[0] != gone], 2))
    assert (tmp_path / "page.html").exists() and not Store(mine).names("report/selections")


PUTS = (1, 4, 8, 10, 11)  # writes after which a run is killed
COMMIT = 11  # the write that names the view; descriptions of the corpus follow
KILLED = """
import os, signal, sys
from tagmill.shards.storage.store import Store
from tagmill.studies.selection.select_options import SelectOptions
from tagmill.studies.selection.selected_view import select

left = [int(sys.argv[3])]

def counting(name):
    plain = getattr(Store, name)
    def put(self, *words, **more):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return plain(self, *words, **more)
    setattr(Store, name, put)

counting("put")
counting("put_new")
select(SelectOptions(scores=sys.argv[1], corpus=sys.argv[2], view="student", processes=1, k=3))
"""


@pytest.mark.parametrize("puts", PUTS)
def test_a_killed_selection_is_made_again_to_the_same_bytes(tmp_path: Path, url: str, puts: int) -> None:
    mine = make_worded(tmp_path / "corpus").store.url  # as `url` was before any selection
    scores = str(Path(url).parent / "scores")
    before = Corpus.open(mine).file
    words = [warm_python(), "-c", KILLED, scores, mine, str(puts)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wanted = select(options(url, k=3))
    if puts < COMMIT:
        assert Corpus.open(mine).file == before, "nothing is named that is not complete"
    else:
        assert View.open(Corpus.open(mine), "student").digest == View.open(Corpus.open(url), "student").digest
    found = select(replace(options(mine, k=3), scores=scores))
    assert found.labelled.view == wanted.labelled.view and labels_of(mine) == labels_of(url)
    assert Path(found.page).read_bytes() == Path(wanted.page).read_bytes()


def bad(url: str, folder: Path, *, rows: Rows = ROWS, labels: Any = LABELS, facts: Any = None) -> Selected:
    write_scores(str(folder / "scores"), Corpus.open(url), rows, labels, facts=facts)
    return select(options(url, scores=str(folder / "scores"), view="bad"))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"facts": {"corpus": {"name": "other", "manifest": "0" * 64}}}, "scores are of another corpus"),
        ({"facts": {"split": "holdout"}}, "held-out samples only"),
        ({"labels": [*LABELS, ModelLabel("sky")]}, "have no synsets: sky"),
        ({"rows": []}, "no image has a score"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_committed(
    url: str, tmp_path: Path, facts: dict[str, Any], message: str
) -> None:
    with pytest.raises(TagmillError, match=message) as raised:
        bad(url, tmp_path, **facts)
    assert "\n" not in str(raised.value) and "bad" not in Corpus.open(url).file.views


def test_scores_that_are_not_complete_and_parts_that_are_gone_are_refused(url: str, tmp_path: Path) -> None:
    write_scores(str(tmp_path / "scores"), Corpus.open(url), ROWS)
    (tmp_path / "scores" / "parts" / "000001.parquet").unlink()
    with pytest.raises(TagmillError, match="000001"):
        select(options(url, scores=str(tmp_path / "scores")))
    (tmp_path / "scores" / DONE_FILE).unlink()
    with pytest.raises(CorpusError, match="not complete"):
        select(options(url, scores=str(tmp_path / "scores")))
    with pytest.raises(ConfigError, match="as the name of a view"):
        options(url, view="../v")


@needs_spark
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rule", ["balanced", "unbalanced"] if os.environ.get("TAGMILL_WHOLE") else ["balanced"])
def test_spark_makes_the_same_view(url: str, one_spark: OneSpark, rule: str) -> None:
    one_spark.begin()
    wanted = select(options(url, rule=rule))
    found = select(options(url, rule=rule, engine="spark"))
    assert found.labelled.view == wanted.labelled.view
    assert found.facts == wanted.facts
