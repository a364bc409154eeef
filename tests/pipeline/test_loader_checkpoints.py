"""Tests the loader's state in the checkpoints of other libraries: torch, torch.distributed, torchdata's data loader and
nodes."""

import json
import os
import subprocess
import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
import torchdata.nodes
from torch.utils.data import DataLoader, IterableDataset
from torchdata.stateful_dataloader import Stateful, StatefulDataLoader

from tagmill.pipeline import Batch, Loader, Mixture, World
from tagmill.shards.errors import TagmillError
from tagmill.shards.view import ONE
from tests.pipeline.checkpointer import CONFIG
from tests.pipeline.corpora import Made, make_corpus
from tests.pipeline.epochs import batches_left
from tests.warm.python import warm_python

LIMIT_SECONDS = 120
pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    repeats = np.random.default_rng(2).integers(0, 2 * ONE, 90)
    return make_corpus(tmp_path_factory.mktemp("checkpoints"), [50, 40], repeats=repeats)


def facts(batch: Batch) -> tuple[list[int], bytes, tuple[list[float], ...]]:
    """Returns all fields of a batch that a trainer sees."""
    pixels = batch.images.contiguous().numpy().tobytes()
    return batch.positions.tolist(), pixels, tuple(part.tolist() for part in batch.terms())


@pytest.fixture(scope="module")
def whole(made: Made) -> list[Any]:
    with Loader(made.url, CONFIG, World()) as loader:
        return [facts(batch) for batch in batches_left(loader)]


def walk(loader: Loader, batches: int) -> list[Any]:
    """Returns the next batches; the iteration stays open, as in a running training."""
    stream = loader.endless() if loader.config.epochs is None else batches_left(loader)
    return [facts(batch) for batch in islice(stream, batches)]


@pytest.mark.parametrize("how", ["json", "torch", "dcp"])
@pytest.mark.parametrize("done", [0, 1, 7])
def test_a_saved_state_resumes_exactly(made: Made, whole: list[Any], tmp_path: Path, how: str, done: int) -> None:
    file = tmp_path / "state"
    with Loader(made.url, CONFIG, World()) as loader:
        assert walk(loader, done) == whole[:done]
        if how == "json":
            file.write_text(json.dumps(loader.state_dict()))
        elif how == "torch":
            torch.save({"loader": loader.state_dict()}, file)
        else:
            dcp.save({"loader": loader}, checkpoint_id=file)
    with Loader(made.url, CONFIG, World()) as loader:
        if how == "json":
            loader.load_state_dict(json.loads(file.read_text()))
        elif how == "torch":
            loader.load_state_dict(torch.load(file, weights_only=True)["loader"])
        else:
            dcp.load({"loader": loader}, checkpoint_id=file)
        assert walk(loader, len(whole)) == whole[done:]


def test_a_distributed_checkpoint_of_one_rank_then_two_then_one(made: Made, whole: list[Any], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with Loader(made.url, CONFIG, World()) as loader:
        walk(loader, 3)
        dcp.save({"loader": loader}, checkpoint_id=first)
    script, clean = Path(__file__).with_name("checkpointer.py"), dict(os.environ, GLOO_SOCKET_IFNAME="lo")
    for name in ("RANK", "WORLD_SIZE"):
        clean.pop(name, None)
    words = [made.url, str(tmp_path / "meet"), str(first), str(second)]
    ranks = [
        subprocess.Popen(
            [warm_python(), str(script), *words, str(tmp_path / f"{rank}.json"), str(rank)],
            env=clean,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in ranks:
        _, complaint = process.communicate(timeout=LIMIT_SECONDS)
        assert process.returncode == 0, complaint
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert all("seed is 0, this run's is 5" in one["complaint"] for one in told)
    for number, positions in enumerate(zip(*(one["seen"] for one in told), strict=True), start=3):
        assert all(positions) and sorted(p for part in positions for p in part) == sorted(
            p for p in whole[number][0] if p >= 0
        )
    with Loader(made.url, CONFIG, World()) as loader:
        dcp.load({"loader": loader}, checkpoint_id=second)
        assert walk(loader, len(whole)) == whole[5:]


@pytest.mark.parametrize("view", [None, "default"])
def test_a_distributed_checkpoint_keeps_none_and_lists(made: Made, tmp_path: Path, view: str | None) -> None:
    """None, lists of strings and of None, numbers and booleans keep their values and types."""
    other = make_corpus(tmp_path / "other", [30], seed=1)
    config = replace(CONFIG, view=view, epochs=None, randaugment=(2, 9))
    mixture = Mixture((made.open(), 2), (other.open(), 1))
    with Loader(mixture, config, World()) as loader:
        walk(loader, 2)
        state, rest = loader.state_dict(), None
        dcp.save({"loader": loader}, checkpoint_id=tmp_path / "mixed")
        rest = walk(loader, 3)
    with Loader(mixture, config, World()) as loader:
        dcp.load({"loader": loader}, checkpoint_id=tmp_path / "mixed")
        assert loader.state_dict() == state and walk(loader, 3) == rest
    with (
        Loader(made.url, replace(config, epochs=2), World()) as single,
        pytest.raises(TagmillError, match="weights is"),
    ):
        dcp.load({"loader": single}, checkpoint_id=tmp_path / "mixed")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mixup": 0.0}, r"mixup is 0\.2, this run's is 0\.0"),
        ({"randaugment": (2, 9)}, r"randaugment is \[0, 0\], this run's is \[2, 9\]"),
        ({"jitter": (0.4, 0.4, 0.4, 0.1)}, r"jitter is \[0\.0, .*this run's is \[0\.4, "),
        ({"view": None}, "view is .*, this run's is None"),
    ],
)
def test_another_run_is_refused_by_name(made: Made, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with Loader(made.url, CONFIG, World()) as loader:
        dcp.save({"loader": loader}, checkpoint_id=tmp_path / "state")
        state = loader.state_dict()
    with Loader(made.url, replace(CONFIG, **changes), World()) as other:
        with pytest.raises(TagmillError, match=says):
            other.load_state_dict(state)
        with pytest.raises(TagmillError, match=says):
            dcp.load({"loader": other}, checkpoint_id=tmp_path / "state")


def test_fields_of_a_later_version_are_refused_by_name(made: Made, tmp_path: Path) -> None:
    """A distributed checkpoint returns only the requested fields, and does not report others."""
    with Loader(made.url, CONFIG, World()) as loader:
        state = {**loader.state_dict(), "cutmix": 1.0}
        dcp.save({"loader": {**state, "fields": [name for name in state if name != "fields"]}}, checkpoint_id=tmp_path)
        with pytest.raises(TagmillError, match="unknown cutmix"):
            dcp.load({"loader": loader}, checkpoint_id=tmp_path)


# ------------------------------------------------------------------------------------------------------------ torchdata
@pytest.mark.parametrize("done", [0, 4])
def test_it_is_the_dataset_of_a_stateful_data_loader(made: Made, whole: list[Any], done: int) -> None:
    with Loader(made.url, CONFIG, World()) as loader:
        assert isinstance(loader, Stateful) and isinstance(loader, IterableDataset)
        around = StatefulDataLoader(loader, batch_size=None)
        assert [facts(batch) for batch in islice(around, done)] == whole[:done]
        state = json.loads(json.dumps(around.state_dict()))
    with Loader(made.url, CONFIG, World()) as loader:
        around = StatefulDataLoader(loader, batch_size=None)
        around.load_state_dict(state)
        assert [facts(batch) for _ in range(2) for batch in around] == whole[done:]


def test_it_is_the_source_of_torchdatas_nodes(made: Made, whole: list[Any]) -> None:
    with Loader(made.url, CONFIG, World()) as loader:
        around = torchdata.nodes.Loader(torchdata.nodes.IterableWrapper(loader))
        iterator = iter(around)
        assert [facts(next(iterator)) for _ in range(4)] == whole[:4]
        state = json.loads(json.dumps(around.state_dict()))
    with Loader(made.url, CONFIG, World()) as loader:
        around = torchdata.nodes.Loader(torchdata.nodes.IterableWrapper(loader))
        around.load_state_dict(state)
        assert [facts(batch) for _ in range(2) for batch in around] == whole[4:]


@pytest.mark.parametrize("kind", [DataLoader, StatefulDataLoader])
def test_workers_of_a_data_loader_are_refused(made: Made, kind: type[DataLoader[Batch]]) -> None:
    """Each would yield every sample again."""
    with Loader(made.url, CONFIG, World()) as loader, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's warning about a fork of a process with threads
        with pytest.raises(Exception, match="set num_workers to 0") as caught:
            list(kind(loader, batch_size=None, num_workers=2))
        assert "worker 1 of 2" in str(caught.value)
    with Loader(made.url, replace(CONFIG, epochs=1), World()) as loader:
        plain = list(DataLoader(loader, batch_size=None))
        assert len(plain) == len(loader)
