"""The state of a detector in training: one object of tensors that is replaced in one step."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from tagmill.shards import ConfigError, IntegrityError, Store
from tagmill.training.checkpoints.tensor_file import pack, places, unpack

STATE_FILE = "detector.safetensors"
_WEIGHT, _MOMENTUM, _FACTS = "weight.", "momentum.", "facts"


@dataclass(frozen=True)
class DetectorState:
    """Where a run is."""

    identity: str  # of the run: what it computes
    step: int  # steps that are done
    skipped: Mapping[str, str]  # keys of training images that were left out, and why


def save_state(store: Store, state: DetectorState, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Replaces the saved state in one step."""
    momenta = {
        f"{_MOMENTUM}{name}": optimiser.state[value]["momentum_buffer"]
        for name, value in model.named_parameters()
        if optimiser.state.get(value, {}).get("momentum_buffer") is not None
    }
    facts = json.dumps({"identity": state.identity, "step": state.step, "skipped": dict(state.skipped)}).encode()
    tensors = {f"{_WEIGHT}{name}": value for name, value in model.state_dict().items()} | momenta
    tensors[_FACTS] = torch.frombuffer(bytearray(facts), dtype=torch.uint8)
    store.put(STATE_FILE, pack({name: value.detach().cpu() for name, value in tensors.items()}))


def load_state(store: Store, identity: str, model: nn.Module, optimiser: torch.optim.Optimizer) -> DetectorState | None:
    """Loads what was saved into model and optimiser; None where nothing was. Raises ConfigError for the state of another
    run, and IntegrityError for a damaged one."""
    where = f"{store.url}/{STATE_FILE}"
    try:
        data = store.read(STATE_FILE)
    except FileNotFoundError:
        return None
    tensors = {name: unpack(data, place) for name, place in places(data, where).items()}
    try:
        facts = json.loads(tensors.pop(_FACTS).numpy().tobytes())
        state = DetectorState(facts["identity"], int(facts["step"]), dict(facts["skipped"]))
        if state.identity != identity:
            raise ConfigError(
                "the output holds another run's detector", where, "name an empty output, or repeat its flags"
            )
        model.load_state_dict(_below(tensors, _WEIGHT))
        momenta = _below(tensors, _MOMENTUM)
        for name, value in model.named_parameters():
            if name in momenta:
                optimiser.state[value]["momentum_buffer"] = momenta[name].to(value.device).reshape(value.shape)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise IntegrityError("a saved detector that is damaged", where, "delete it and start again") from error
    return state


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
