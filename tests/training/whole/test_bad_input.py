"""Tests that what a run cannot do is said in one line: before training where it can be known, else with all that is saved
whole."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tagmill.shards import Store, StoreError, TagmillError
from tagmill.train import main, train
from tagmill.training.checkpoints.layout import steps_there
from tagmill.training.config.train import TrainConfig
from tests.pipeline.corpora import Made, make_corpus
from tests.training.runs import VIT, lines, weights_in
from tests.training.whole.worlds import WHOLE, run


@pytest.fixture
def begun(whole_corpus: Made, tmp_path: Path) -> TrainConfig:
    """A run whose first steps were taken."""
    config = replace(VIT, corpus=whole_corpus.url, batch_size=16, steps=4, checkpoint_every=2)
    return replace(config, output=str(tmp_path / "model"))


def file_as(name: str) -> Callable[[Path], None]:
    """Returns an action that puts a file where a folder goes."""

    def act(output: Path) -> None:
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text("")

    return act


def folder_as(name: str) -> Callable[[Path], None]:
    return lambda output: (output / name).mkdir(parents=True)


OUTPUTS: dict[str, Callable[[Path], None]] = {
    "a file as the output": file_as(""),
    "a file as its checkpoints": file_as("checkpoints"),
    "a file as its model": file_as("model"),
    "a folder as its metrics": folder_as("metrics.jsonl"),
    "a folder as its plan": folder_as("plan.json"),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_an_output_that_cannot_be_written_is_known_before_the_first_step(
    begun: TrainConfig, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    OUTPUTS[kind](Path(begun.output))
    monkeypatch.setattr("tagmill.train.take_step", None)  # a step would be a TypeError
    with pytest.raises(TagmillError) as caught:
        train(begun)
    assert "\n" not in str(caught.value) and begun.output in str(caught.value)
    assert "output" in str(caught.value) or "fix its permissions" in str(caught.value)


BEFORE: dict[str, tuple[dict[str, Any], str]] = {
    "no GPU": ({"device": "cuda"}, "no GPU.*--device cpu"),
    "no corpus": ({"corpus": "/nowhere"}, "no corpus here"),
    "no view": ({"view": "other"}, "no view 'other'.*has: default"),
    "an epoch without a whole batch": (
        {"batch_size": 128, "drop_last": True},
        "45 samples, a batch 128.*drop_last off",
    ),
}


@pytest.mark.parametrize("kind", BEFORE)
def test_a_run_that_cannot_begin_leaves_nothing_behind(begun: TrainConfig, kind: str) -> None:
    changes, says = BEFORE[kind]
    if kind == "no GPU" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(TagmillError, match=says) as caught:
        train(replace(begun, **changes))
    assert "\n" not in str(caught.value) and not Path(begun.output).exists()


def test_an_unknown_key_of_a_recipe_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('model = "test_vit"\nlearning_rate = 0.1\n')
    with pytest.raises(TagmillError, match="learning_rate"):
        main(["--recipe", str(tmp_path / "recipe.toml")])


@pytest.mark.parametrize("step", [2, 3, 4] if WHOLE else [3])
def test_a_disk_that_fills_up_leaves_the_older_checkpoints(
    begun: TrainConfig, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The disk takes no byte more from the first object of a checkpoint on; the run goes on when there is room again."""
    config = replace(begun, checkpoint_every=1)
    inner = Store.put

    def put(self: Store, name: str, source: bytes | Path, *, give: bool = False) -> None:
        if name.startswith(f"checkpoints/{step}/"):
            raise StoreError("cannot write here: No space left on device", self.url, "free space")
        inner(self, name, source, give=give)

    with monkeypatch.context() as patch, pytest.raises(TagmillError, match="No space left") as caught:
        patch.setattr(Store, "put", put)
        train(config)
    assert "\n" not in str(caught.value) and f"step {step} was not saved" in str(caught.value)
    assert list(steps_there(Store(config.output))) == list(range(1, step))
    assert weights_in(config.output)
    train(config)
    assert [line["step"] for line in lines(config.output)] == [1, 2, 3, 4]


@pytest.mark.parametrize("file", ["00000-0000.safetensors", "metadata.json", "done.json"] if WHOLE else ["done.json"])
def test_half_a_checkpoint_is_refused_and_an_older_one_continues(begun: TrainConfig, file: str) -> None:
    train(begun)
    path = Path(begun.output, "checkpoints/4", file)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TagmillError) as caught:
        train(begun)
    assert "\n" not in str(caught.value) and "checkpoints/4" in str(caught.value)
    assert train(replace(begun, resume="2"))["trained"]["step"] == 4


def test_a_model_that_cannot_be_written_at_the_end_is_one_line(
    begun: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tagmill.training.trained.weight_file.save_file", full)
    with pytest.raises(TagmillError, match=r"cannot write here: No space left on device.*free space"):
        train(begun)
    assert list(steps_there(Store(begun.output))) == [2, 4]


def test_a_view_with_one_label_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.pipeline.corpora.NUM_LABELS", 1)
    made = make_corpus(tmp_path / "corpus", [40], holdout=[8], max_labels=1)
    config = replace(VIT, corpus=made.url, batch_size=8, steps=2, output=str(tmp_path / "model"), dry_run=True)
    assert "one label" in " ".join(train(config)["warnings"])
    assert not any("one label" in text for text in train(replace(config, loss="sigmoid"))["warnings"])


def test_a_view_without_a_labelled_image_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_corpus(tmp_path / "corpus", [20], labelled=False)
    run(replace(VIT, corpus=made.url, batch_size=8, steps=2), output=str(tmp_path / "model"))
    said = capsys.readouterr().out
    assert said.count("WARNING    none of the 8 images so far has a label") == 1


ORDERS = {
    "in another order": ([0, 2, 1, 3, 4, 5, 6], r"same labels in another order: label 1 is 'label1'.*is 'label2'"),
    "others": ([0, 1, 2, 9, 4, 5, 6], r"vocabulary of another run: label 3 is 'label3'.*is 'label9'"),
    "more": ([*range(7), 8], r"has 1 labels after the checkpoint's 7.*--init"),
}


def test_a_view_with_other_labels_is_refused_by_name(tmp_path: Path) -> None:
    """Between two epochs, where the view may be a later one: the labels' names and order in it are another matter."""
    made = make_corpus(tmp_path / "corpus", [20])
    config = replace(VIT, corpus=made.url, batch_size=16, steps=3, checkpoint_epochs=True, keep=9)
    run(config, output=str(tmp_path / "model"))
    config = replace(config, output=str(tmp_path / "model"), resume="2", extend=True)
    assert make_corpus(tmp_path / "same", [20], order=range(7)).open().file == made.open().file
    for kind, (order, says) in ORDERS.items():
        other = make_corpus(tmp_path / kind, [20], order=order)
        assert other.entries == made.entries, "only the labels' names differ"
        with pytest.raises(TagmillError, match=says) as caught:
            train(replace(config, corpus=other.url))
        assert "\n" not in str(caught.value)
    assert len(lines(config.output)) == 3 and train(config)["trained"]["step"] == 3
