"""tagmill in Lightning. The same line resumes a killed run; Lightning's checkpoints hold the loader's state.

    python examples/lightning_module.py CORPUS OUTPUT STEPS [PROCESSES]

The corpus needs held-out images (tagmill ingest --holdout N). The lines that tagmill requires are marked. Lightning knows an
epoch by the loader's length, and evaluates after each: the evaluation's loader begins at its first batch every time.
"""

import sys
from dataclasses import replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from tagmill.pipeline import Batch, Loader, LoaderConfig
from tagmill.shards import Corpus, View

CONFIG = LoaderConfig(batch_size=16, size=32, output="float32", streams=8, chunk=8, seed=1)
EVALUATION = replace(CONFIG, split="holdout", augment="eval")


class Classifier(lightning.LightningModule):
    """A linear classifier of a corpus's labels, on images of 4 x 4 pixels."""

    def __init__(self, corpus: str) -> None:
        super().__init__()
        self.corpus = corpus
        classes = len(View.open(Corpus.open(corpus), "default").vocabulary)
        self.model = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, classes))

    def train_dataloader(self) -> Loader:
        return Loader(self.corpus, CONFIG)  # tagmill 1: it knows the rank, because Lightning started torch.distributed

    def val_dataloader(self) -> Loader:
        return Loader(self.corpus, EVALUATION)  # tagmill 2

    def loss(self, batch: Batch) -> torch.Tensor:
        rows, ids, weights = batch.terms()  # tagmill 3: (image, label) pairs; a hole and padding have none
        return -(weights * torch.log_softmax(self.model(batch.images), 1)[rows, ids]).sum()

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:  # tagmill 4: Lightning moves it to the device
        loss = self.loss(batch)
        total = self.trainer.strategy.reduce(loss.detach(), reduce_op="sum")  # over all ranks
        self.print(self.global_step + 1, total.item())
        # tagmill 5: the number of images differs a little between ranks
        return loss * self.trainer.world_size / CONFIG.batch_size

    def validation_step(self, batch: Batch, _: int) -> None:
        self.log("evaluation", self.loss(batch), on_epoch=True, reduce_fx="sum", sync_dist=True, batch_size=batch.count)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1, 0.9)


def main(corpus: str, output: Path, steps: int, processes: int = 1) -> None:
    torch.manual_seed(0)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=processes,
        max_steps=steps,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(output, save_last=True, every_n_train_steps=1)],
    )
    last = output / "last.ckpt"
    trainer.fit(Classifier(corpus), ckpt_path=last if last.exists() else None)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
