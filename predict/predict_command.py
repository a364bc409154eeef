"""`tagmill predict`: labels of images in words, with scores."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass

import tyro

from tagmill.predict.pictures import FoundPicture, named_paths, read_pictures
from tagmill.predict.predictor import Device, Prediction, Predictor
from tagmill.shards import TagmillError
from tagmill.shards.progress.protocol import Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Count
from tagmill.shards.terminal.safe_text import ERROR_CELLS, safe_text
from tagmill.training.trained.source import read_trained


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Which model looks at which images."""

    model: tyro.conf.Positional[str]
    """Exported folder, output of a run, checkpoint (a path or a URL), or timm:NAME."""
    images: tyro.conf.Positional[tuple[str, ...]]
    """Files and folders; - reads a list of files, one a line, from standard input."""
    top: Count = 5
    """Labels to show of each image, the best ones."""
    batch_size: Count = 32
    """Images that the model gets at a time."""
    device: Device = "auto"
    """Device of the model; auto is a GPU if there is one."""
    threads: Count | None = None
    """Threads that read and decode; by default the cores of the machine."""


PREDICT_COMMAND = CommandLine(
    "tagmill predict", "Name the labels of images by a trained model.", (PredictOptions, JsonOutput)
)


def predict_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill predict` command line. Raises TagmillError at the end if images could not be read."""
    chosen, shown = PREDICT_COMMAND.parse(arguments)
    trained = read_trained(chosen.model)
    if trained.labels is None:
        sys.stderr.write("tagmill predict: the model names no labels, so their numbers are shown\n")
    good = bad = 0
    paths = named_paths(chosen.images, sys.stdin.buffer)
    with (
        Predictor(trained, chosen.device, chosen.threads) as predictor,
        nullcontext(Silent()) if shown.json else progress_shown() as progress,
    ):
        progress.stage("predict")
        for pictures in read_pictures(paths, chosen.batch_size, chosen.threads or len(os.sched_getaffinity(0))):
            found = predictor.predict([each.jpeg for each in pictures], chosen.top)
            for picture, labels in zip(pictures, found, strict=True):
                good, bad = good + (labels is not None), bad + (labels is None)
                _show(picture, labels, as_json=shown.json)
            sys.stdout.flush()
            unread = sum(labels is None for labels in found)
            progress.advance(len(found), ok=len(found) - unread, not_read=unread)
    if bad:
        what = f"{bad:,} of {good + bad:,} images could not be read"
        raise TagmillError(what, remedy="see their lines above; the others are done")
    if not good:
        raise TagmillError("no images", " ".join(chosen.images), "name files, or folders with some")


def _show(picture: FoundPicture, labels: list[Prediction] | None, *, as_json: bool) -> None:
    reason = picture.reason or "cannot be decoded"
    if as_json:
        told = {"error": reason} if labels is None else {"labels": [_row(each) for each in labels]}
        sys.stdout.write(json.dumps({"image": picture.path, **told}) + "\n")
    elif labels is None:
        sys.stdout.flush()
        sys.stderr.write(f"{safe_text(picture.path, ERROR_CELLS)}  not read: {safe_text(reason, ERROR_CELLS)}\n")
    else:
        words = "  ".join(f"{each.score:.1%} {each.label.name}" for each in labels)
        sys.stdout.write(f"{safe_text(picture.path, ERROR_CELLS)}  {safe_text(words, ERROR_CELLS)}\n")


def _row(prediction: Prediction) -> dict[str, object]:
    return {"id": prediction.id, **asdict(prediction.label), "score": round(prediction.score, 6)}
