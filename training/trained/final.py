"""What the output folder of a run has at its end beside its checkpoints: its model."""

from tagmill.shards import ConfigError, Store, Vocabulary
from tagmill.training.config.train import TrainConfig
from tagmill.training.parallel.gathering import whole
from tagmill.training.run import Run
from tagmill.training.trained.folder import write_folder
from tagmill.training.trained.labels import labels_of
from tagmill.training.trained.run_folder import trained_of

FINAL = "model"


def check_final(config: TrainConfig) -> None:
    """Raises ConfigError if a file is where the model goes, so that this is known before a run and not at its end."""
    root = Store(config.output).root
    if not config.dry_run and root is not None and (place := root / FINAL).exists() and not place.is_dir():
        raise ConfigError(
            "a file where the folder of the model goes", str(place), "move it away, or give another --output"
        )


def export_run(run: Run, vocabulary: Vocabulary) -> str:
    """Exports the weights of a run, or their average if it has one, to the folder `model` of its output, on rank 0. Returns a
    line that says how to use it."""
    folder = f"{run.config.output.rstrip('/')}/{FINAL}"
    weights = whole(
        (run.model if run.ema is None else run.ema.module).state_dict()
    )  # with FSDP all processes take part
    if run.world.rank == 0:
        write_folder(trained_of(vars(run.config), labels_of(vocabulary), weights, folder), folder)
    return f"model      {folder}: tagmill predict {folder} IMAGE"
