"""What the output folder of a run has beside its checkpoints: its labels, and at its end its model."""

from tagmill.shards import Store, Vocabulary
from tagmill.training.run import Run
from tagmill.training.trained.folder import write_folder
from tagmill.training.trained.labels import VOCABULARY_FILE, labels_of
from tagmill.training.trained.run_folder import trained_of

FINAL = "model"


def save_labels(store: Store, vocabulary: Vocabulary) -> None:
    """Writes the labels, so that the checkpoints can be used without the corpus."""
    store.put(VOCABULARY_FILE, vocabulary.json())


def export_run(run: Run, vocabulary: Vocabulary) -> str:
    """Exports the weights of a run to the folder `model` of its output, on rank 0. Returns a line that says how to use it."""
    folder = f"{run.config.output.rstrip('/')}/{FINAL}"
    if run.world.rank == 0:
        weights = run.model.state_dict()
        write_folder(trained_of(vars(run.config), labels_of(vocabulary), weights, folder), folder)
    return f"model      {folder}: tagmill predict {folder} PICTURE"
