"""Whole runs of a detector: what they write, that they learn, and that one that was stopped ends as one that was not."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageDraw
from torch import nn
from torchvision.models.detection import MaskRCNN, RetinaNet

from tagmill.shards import ConfigError, Store, TagmillError
from tagmill.shards.progress.protocol import Silent
from tagmill.training.trained.model import Trained, Transform
from tagmill.transfer.detection.coco_set import CocoSet, open_coco
from tagmill.transfer.detection.detect_run import DetectorTask, run_detection
from tagmill.transfer.detection.detection_checkpoint import STATE_FILE
from tagmill.transfer.detection.detection_outcome import DETECTION_FILE
from tagmill.transfer.detection.detectors import ImageSides, Kind
from tests.transfer.detection.coco_files import annotation, content, picture, write_set
from tests.warm.python import called

TASK = DetectorTask(weight="light", sides=ImageSides(32, 48), batch=2, epochs=2, rate=0.01, warmup_steps=0)


class StoppedError(Exception):
    """What a test raises in the middle of a run."""


class StopsAt(Silent):
    """Stops a run after so many steps of training."""

    def __init__(self, steps: int) -> None:
        self.left = steps + 1  # the first call is of the steps that were done before

    def advance(self, n: int, **counts: int) -> None:
        self.left -= 1
        if not self.left:
            raise StoppedError


class Killed(Silent):
    """Kills the process after so many steps of training, as the machine may at any time."""

    def __init__(self, steps: int) -> None:
        self.left = steps + 1

    def advance(self, n: int, **counts: int) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def small_network() -> Trained:
    torch.manual_seed(0)
    return Trained("here", timm.create_model("test_resnet").state_dict(), "test_resnet", transform=Transform(32))


def killed_run(file: str, images: str, output: str) -> None:
    data = open_coco(file, images, masks=False)
    run_detection(small_network(), data, data, TASK, Store(output), Killed(3), save_every=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    made = content()
    made["images"] += [{"id": 11, "file_name": "c.png", "width": 40, "height": 30}]
    made["annotations"] += [annotation(5, [8, 9, 20, 12], image_id=11), annotation(6, [8, 9, 0, 12], image_id=11)]
    folder = tmp_path_factory.mktemp("coco")
    file, images = write_set(folder, made)
    Path(images, "c.png").write_bytes(picture(40, 30))
    Path(images, "b.png").write_bytes(b"not an image")
    return file, images


@pytest.fixture(scope="module")
def data(files: tuple[str, str]) -> CocoSet:
    return open_coco(*files, masks=False)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return small_network()


def test_a_killed_run_ends_as_one_that_was_not(
    data: CocoSet, files: tuple[str, str], trained: Trained, tmp_path: Path
) -> None:
    whole, parts = Store(str(tmp_path / "whole")), Store(str(tmp_path / "parts"))
    outcome = run_detection(trained, data, data, TASK, whole, Silent())
    assert called(tmp_path / "call", killed_run, *files, parts.url).wait(120) == -signal.SIGKILL
    assert parts.read(STATE_FILE) != whole.read(STATE_FILE)  # of step 2 of 4: the third was lost
    with pytest.raises(StoppedError):
        run_detection(trained, data, data, TASK, parts, StopsAt(1), save_every=1)
    run_detection(trained, data, data, TASK, parts, Silent(), save_every=3)
    for name in (STATE_FILE, DETECTION_FILE):
        assert parts.read(name) == whole.read(name)
    found: dict[str, Any] = json.loads(whole.read(DETECTION_FILE))
    assert found["boxes"]["ap"] == outcome.boxes.ap and found["masks"] is None and found["images"] == 2
    assert found["skipped"] == {
        "train_annotations": {"a box without area": 1},
        "train_images": {"not an image": 1},
        "val_annotations": {"a box without area": 1},
        "val_images": {"not an image": 1},
    }
    assert found["settings"]["recipe"] and found["train_digest"] == data.stored.digest


def test_another_run_in_the_same_output_is_refused(data: CocoSet, trained: Trained, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(StoppedError):
        run_detection(trained, data, data, TASK, store, StopsAt(1), save_every=1)
    other = DetectorTask(weight="light", sides=ImageSides(32, 48), batch=2, epochs=2, rate=0.02, warmup_steps=0)
    with pytest.raises(ConfigError, match="another run's detector"):
        run_detection(trained, data, data, other, store, Silent())


def test_a_random_network_is_another_start(data: CocoSet, trained: Trained, tmp_path: Path) -> None:
    task = DetectorTask(weight="light", sides=ImageSides(32, 48), batch=2, epochs=1, rate=1e-9, random=True)
    outcome = run_detection(trained, data, data, task, Store(str(tmp_path)), Silent())
    assert outcome.random and outcome.settings["random"] is True


def test_a_loss_that_is_not_finite_ends_the_run(data: CocoSet, trained: Trained, tmp_path: Path) -> None:
    task = DetectorTask(weight="light", sides=ImageSides(32, 48), batch=2, epochs=9, rate=1e30, warmup_steps=0)
    with pytest.raises(TagmillError, match="a loss that is not finite at step"):
        run_detection(trained, data, data, task, Store(str(tmp_path)), Silent())


def test_sets_that_do_not_fit_are_refused(data: CocoSet, trained: Trained, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    other = open_coco(
        *write_set(tmp_path / "other", content(categories=[{"id": 3, "name": "cat"}], annotations=[])), masks=False
    )
    with pytest.raises(ConfigError, match="classes that are not those"):
        run_detection(trained, data, other, TASK, store, Silent())
    with pytest.raises(ConfigError, match="no object to train on"):
        run_detection(trained, other, other, TASK, store, Silent())
    with pytest.raises(ConfigError, match="needs masks"):
        run_detection(trained, data, data, DetectorTask(detector="mask-rcnn"), store, Silent())


def draw_rectangles(folder: Path, count: int) -> CocoSet:
    """Images of 64 pixels with a red or a blue rectangle, and its mask."""
    random, images, drawn = np.random.default_rng(0), folder / "images", list[dict[str, Any]]()
    images.mkdir()
    for number in range(count):
        width, height = (int(side) for side in random.integers(24, 41, 2))
        left, top = int(random.integers(64 - width)), int(random.integers(64 - height))
        right, bottom = left + width, top + height
        image = Image.new("RGB", (64, 64), (90, 90, 90))
        colour = (220, 30, 30) if number % 2 else (30, 30, 220)
        ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), fill=colour)
        image.save(images / f"{number}.png")
        corners = [left, top, right, top, right, bottom, left, bottom]
        box, label = [left, top, width, height], number % 2 + 1
        drawn.append(annotation(number, box, image_id=number, category_id=label, segmentation=[corners]))
    file = folder / "instances.json"
    made = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 64} for n in range(count)],
        "annotations": drawn,
        "categories": [{"id": 1, "name": "blue"}, {"id": 2, "name": "red"}],
    }
    file.write_text(json.dumps(made))
    return open_coco(str(file), str(images), masks=True)


@contextmanager
def losses_of(kind: type[nn.Module]) -> Iterator[list[float]]:
    """The sum of a detector's losses at each step of training that is made meanwhile."""
    found = list[float]()

    def note(module: nn.Module, _: object, output: Any) -> None:
        if isinstance(module, kind) and module.training:
            found.append(sum(float(value.detach()) for value in output.values()))

    hook = nn.modules.module.register_module_forward_hook(note)
    try:
        yield found
    finally:
        hook.remove()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("detector", "network", "images", "epochs", "rate"),
    [("retinanet", RetinaNet, 4, 70, 0.1), ("mask-rcnn", MaskRCNN, 8, 20, 0.05)],
)
def test_a_detector_learns_the_images_that_it_is_trained_on(
    detector: Kind, network: type[nn.Module], images: int, epochs: int, rate: float, trained: Trained, tmp_path: Path
) -> None:
    drawn = draw_rectangles(tmp_path, images)

    def run(epochs: int, rate: float) -> Any:
        task = DetectorTask(
            detector=detector,
            weight="light",
            sides=ImageSides(64, 64),
            batch=4,
            epochs=epochs,
            rate=rate,
            warmup_steps=2,
        )
        return run_detection(trained, drawn, drawn, task, Store(str(tmp_path / f"{epochs}")), Silent())

    untrained = run(1, 1e-12)
    with losses_of(network) as losses:
        found = run(epochs, rate)
    assert len(losses) == epochs * images // 4
    assert np.mean(losses[-4:]) < 0.75 * np.mean(losses[:4])
    assert found.boxes.ap50 > untrained.boxes.ap50 + 0.05
    if detector == "mask-rcnn":
        assert found.masks.ap50 > untrained.masks.ap50 + 0.05
