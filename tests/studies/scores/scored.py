"""A small corpus, a small teacher with hostile class names, and runs over them, for the tests of scores."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagmill.pipeline import World
from tagmill.shards import Corpus, Store
from tagmill.studies.scores.score_files import Scores
from tagmill.studies.scores.score_run import ScoreRun, ScoreSettings
from tagmill.studies.scores.teacher import TeacherSource, open_teacher
from tagmill.training.trained.folder import write_folder
from tagmill.training.trained.labels import ModelLabel
from tests.pipeline.corpora import Made, make_corpus
from tests.transfer.features.small_model import small_model

NAMES = ("</script><b>", "\x1b[31mred\n", 'a,"b";DROP TABLE scores', "dog", "dog", "\u202egnirts", "é\U0001f415")
LABELS = tuple(ModelLabel(name, (f"n{number:08d}",)) for number, name in enumerate(NAMES))
SETTINGS = ScoreSettings(top=3, batch=4, part_samples=13, threads=1, processes=1)
UNDECODABLE = (5, 21)
NUM_PARTS = 4  # of the 42 training samples


def small_corpus(folder: Path) -> Made:
    """Writes a corpus of 42 training samples in shards of 20, 13 and 9, two of which cannot be decoded, and 6 held-out ones."""
    bad = dict.fromkeys(UNDECODABLE, b"no JPEG")
    return make_corpus(folder, [20, 13, 9], holdout=[6], replace=bad)


def small_teacher(folder: Path, seed: int = 3, loss: str = "softmax") -> str:
    """Writes an exported model and returns its path."""
    trained = small_model("test_efficientnet", 32, seed, num_classes=len(LABELS))
    write_folder(replace(trained, labels=LABELS, loss=loss), str(folder))
    return str(folder)


def score_run(teacher: str, corpus: str, output: Path | str, world: World | None = None, **changes: Any) -> ScoreRun:
    """Returns the run that scores a corpus with SETTINGS and `changes`."""
    opened = open_teacher(TeacherSource(teacher, device="cpu"))
    return ScoreRun(opened, Corpus.open(corpus), Store(str(output)), replace(SETTINGS, **changes), world)


def scored(teacher: str, corpus: str, output: Path | str, **changes: Any) -> Scores:
    """Scores a corpus in one process."""
    found = score_run(teacher, corpus, output, **changes).scored()
    assert found is not None
    return found


def scored_by_processes(teacher: str, corpus: str, output: Path, processes: int) -> None:
    """Scores a corpus in several processes."""
    scored(teacher, corpus, output, processes=processes)


def files_of(folder: Path) -> Mapping[str, bytes]:
    """Returns the files below a folder by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
