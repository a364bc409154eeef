"""One image that the model has not seen, and what it sees in it."""

import tarfile
from pathlib import Path
from typing import Any

from tagmill.predict.predictor import Predictor
from tagmill.training.trained.source import read_trained


def example(corpus: Path, model: Path, image: Path) -> dict[str, Any]:
    """Writes the first held-out image of a corpus to the file `image`, and returns it with the model's three best labels: the
    same as `tagmill predict MODEL IMAGE --top 3` prints."""
    image.write_bytes(first_held_out(corpus))
    with Predictor(read_trained(str(model)), threads=1) as predictor:
        (found,) = predictor.predict([image.read_bytes()], 3)
    assert found is not None, "the corpus was compared with its digests"
    labels = [[each.label.name, round(each.score, 4)] for each in found]
    return {"image": str(image), "model": str(model), "labels": labels}


def first_held_out(corpus: Path) -> bytes:
    """Returns the first JPEG of the first held-out shard."""
    with tarfile.open(min((corpus / "shards").glob("holdout-*.tar"))) as shard:
        member = next(each for each in shard if each.name.endswith(".jpg"))
        file = shard.extractfile(member)
        assert file is not None, member.name
        return file.read()
