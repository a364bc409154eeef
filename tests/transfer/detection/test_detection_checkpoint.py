"""The state of a detector in training."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tagmill.shards import ConfigError, IntegrityError, Store
from tagmill.transfer.detection.detection_checkpoint import STATE_FILE, DetectorState, load_state, save_state


def made(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    return model, torch.optim.SGD(model.parameters(), 0.1, 0.9)


def stepped(model: nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    optimiser.zero_grad()
    model(torch.randn(5, 3)).square().sum().backward()
    optimiser.step()


def test_a_loaded_run_goes_on_as_the_one_that_was_saved(tmp_path: Path) -> None:
    store, (model, optimiser) = Store(str(tmp_path)), made(1)
    assert load_state(store, "run", model, optimiser) is None
    stepped(model, optimiser, 5)
    state = DetectorState("run", 1, {"é.jpg": "missing"})
    save_state(store, state, model, optimiser)
    other, fresh = made(2)
    assert load_state(store, "run", other, fresh) == state
    for each in ((model, optimiser), (other, fresh)):
        stepped(*each, 6)
    assert all(torch.equal(one, model.state_dict()[name]) for name, one in other.state_dict().items())


def test_another_run_and_damaged_files_are_refused(tmp_path: Path) -> None:
    store, (model, optimiser) = Store(str(tmp_path)), made(1)
    save_state(store, DetectorState("run", 1, {}), model, optimiser)
    with pytest.raises(ConfigError, match="another run's detector"):
        load_state(store, "other", *made(1))
    whole = (tmp_path / STATE_FILE).read_bytes()
    for data in (b"", whole[:-3], whole.replace(b"identity", b"identitY")):
        (tmp_path / STATE_FILE).write_bytes(data)
        with pytest.raises(IntegrityError):
            load_state(store, "run", *made(1))
