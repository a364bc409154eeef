"""What the output folder of a run has at its end beside its checkpoints: its model."""

from tagmill.shards import Vocabulary
from tagmill.training.parallel.gathering import whole
from tagmill.training.run import Run
from tagmill.training.trained.folder import write_folder
from tagmill.training.trained.labels import labels_of
from tagmill.training.trained.run_folder import trained_of

FINAL = "model"


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
