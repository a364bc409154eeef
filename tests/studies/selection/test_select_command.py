"""`tagmill teach select`: random images by tag, what is said of classes without images, and JSON."""

import json
from pathlib import Path

import pytest

from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards import Corpus, View
from tagmill.studies.selection.select_command import select_command
from tagmill.training.trained.labels import ModelLabel
from tests.ingest.tagged import Tagged, make
from tests.studies.selection.scored import LABELS, write_scores


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tagged:
    folder = tmp_path_factory.mktemp("tagged")
    made = make(folder, [[["dog"], ["dog", "oak"], ["dog"], ["table"]]], [[["dog"]]])
    view(ViewConfig(corpus=made.corpus.store.url, name="default", processes=1))
    labels = [*LABELS, ModelLabel("sky\u202e")]
    rows = [(key, 0, 100) for key in made.keys[:4]]
    write_scores(str(folder / "scores"), Corpus.open(made.corpus.store.url), rows, labels)
    return made


def words(made: Tagged, *more: str) -> list[str]:
    url = made.corpus.store.url
    return [f"{Path(url).parent}/scores", url, "v", "--k", "2", "--processes", "1", *more]


def test_random_images_by_tag(made: Tagged, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--rule", "tags", "--without-synsets", "leave-out", "--json"]
    chosen = set()
    for seed in range(6):
        assert select_command(words(made, *flags, "--seed", str(seed))) == made.corpus.store.url
        said = json.loads(capsys.readouterr().out)
        assert (said["rule"], said["k"], said["rows"], said["classes"]) == ("tags", 2, 3, 4)
        assert said["classes_without_images"] == ["bear", "cat"] and said["classes_below_k"] == 1
        assert said["classes_without_synsets"] == ["sky\u202e"] and len(said["tags_view"]) == 64
        labels = View.open(Corpus.open(made.corpus.store.url), "v").labels(0, 0, 4)
        dogs = {n for n in range(4) if 0 in labels[n].tolist()}
        assert dogs < {0, 1, 2} and len(dogs) == 2 and 2 in labels[1].tolist()
        chosen.add(tuple(sorted(dogs)))
    assert len(chosen) > 1, "another seed, other images"


def test_what_is_said_at_the_end(made: Tagged, capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(made.corpus.store.url).parent / "p.html"
    select_command(words(made, "--k", "50", "--without-synsets", "leave-out", "--page", str(page)))
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "1 of 4 with images",
        "1 classes have fewer than 50 images to choose from: all were taken",
        "3 classes have no image: bear, oak, cat",
        "1 classes of the teacher without synsets are left out: sky\\u202e",
        "tagmill train --corpus",
    ):
        assert part in said
    assert page.read_bytes().count(b"no image") >= 2  # its images are no JPEG files
