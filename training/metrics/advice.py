"""Warnings of a result that is probably not meant, each given once."""

from collections.abc import Iterator, Mapping
from typing import Any

from tagmill.pipeline import Loader
from tagmill.training.config.train import TrainConfig

WAITING, HOLES = 0.2, 0.01
"""Shares from which on waiting for the loader and holes are warned of."""
FIRST_IMAGES = 1000
"""Images after which shares are judged."""
TRIED = 0.1
"""Share of a run, after the warm-up, in which the loss may be that of a constant guess."""


class Advice:
    """Looks at the lines of a run. `guess`: the loss of a constant guess, None if it is not known."""

    def __init__(self, config: TrainConfig, steps: int, loader: Loader, guess: float | None) -> None:
        self._config, self._loader, self._guess = config, loader, guess
        warm_up = config.images_of_warmup / config.batch_size
        self._tried = warm_up + TRIED * max(0, steps - warm_up)
        self._images = self._holes = self._labels = 0
        self._seconds = self._waited = 0.0
        self._given = set[str]()

    def on(self, line: Mapping[str, Any], images: int, labels: int) -> list[str]:
        """Returns what is to be said of a line on some images with `labels` labels together, and was not said before. The
        first line, which has the start of the loader, does not count for waiting."""
        if self._images:
            self._seconds += line["seconds"]
            self._waited += line["seconds"] * line["waited_share_slowest"]
        self._images += images
        self._holes += line["holes"]
        self._labels += labels
        found = dict(self._found(line))
        fresh = [text for kind, text in found.items() if kind not in self._given]
        self._given |= set(found)
        return fresh

    def _found(self, line: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not self._labels and self._images:
            remedy = (
                "there is nothing to learn; look at the view's labels (tagmill corpus view), or give another --view"
            )
            yield "labels", f"none of the {self._images:,} images so far has a label: {remedy}"
        if self._images >= FIRST_IMAGES:
            if self._waited > WAITING * self._seconds:
                yield "waiting", self._waiting(line)
            if self._holes > HOLES * self._images:
                reasons = self._loader.meters.top_reasons()
                why = f": {reasons} on this process" if reasons else ""
                yield "holes", f"{self._holes / self._images:.1%} of the images are holes{why}; run tagmill corpus lint"
        guess = self._guess
        if guess is not None and line["step"] >= self._tried and "guess" not in self._given:
            self._given.add("guess")  # asked once, at the first line after the trial
            if line["loss"] >= guess and not self._config.shuffle_labels:
                seen = f"the loss at step {line['step']:,} is {line['loss']:.3f}"
                why = f"not below that of a constant guess, {guess:.3f}: the model learns nothing yet"
                yield "loss", f"{seen}, {why}; look at lr, warm-up and labels"

    def _waiting(self, line: Mapping[str, Any]) -> str:
        slowest = line["slowest_rank"]
        text = f"the training waits {self._waited / self._seconds:.0%} of the time for the loader"
        if slowest != self._loader.world.rank:
            return f"{text}, longest on rank {slowest} of late"
        bottleneck = self._loader.meters.bottleneck()
        remedy = (
            "a faster or nearer store" if bottleneck == "reading" else "more processor cores, or smaller stored images"
        )
        return f"{text}, whose bottleneck is {bottleneck}: {remedy} would help"
