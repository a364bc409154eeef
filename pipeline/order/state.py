"""The state of a run, as numbers from which any number of ranks can resume."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields

from tagmill.pipeline.order.permutation import PLAN_VERSION
from tagmill.shards.errors import TagmillError

# Remedies for a mismatch that is not in the loader's own configuration.
REMEDIES = {
    "version": "resume with the tagmill version that saved it",
    "manifest": "open the corpus as it was when the run began, or begin a new run",
    "view": "open the view as it was when the run began, or begin a new run",
    "size": "configure size as it was when the run began; None is one size for all batches",
}
POSITION = ("epoch", "turn")  # these may differ: they are the position
# Values of fields that older states lack.
NOT_YET = {"weights": None, "jitter": [0.0, 0.0, 0.0, 0.0], "randaugment": [0, 0], "mixup": 0.0, "size": None}


@dataclass(frozen=True, kw_only=True)
class LoaderState:
    """The next turn, and all values on which the meaning of a turn depends. The number of ranks is not among them."""

    epoch: int  # 0 in a mixture, whose turns are counted through all epochs of its corpora
    turn: int  # the first turn of the plan that was not yielded yet
    seed: int
    manifest: str | list[str]  # sha256, 64 hex digits; in a mixture one for each corpus
    view: str | list[str | None] | None  # sha256 of view.json; None: every sample once
    streams: int
    window: int
    chunk: int
    batch_size: int
    split: str
    augment: str
    drop_last: bool
    weights: list[int] | None = None  # of the corpora of a mixture
    jitter: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])
    randaugment: list[int] = field(default_factory=lambda: [0, 0])
    mixup: float = 0.0
    size: str | None = None  # of images whose size varies, as text; None: one size, which may change
    version: int = PLAN_VERSION

    def as_dict(self) -> dict[str, object]:
        """Returns plain values, for JSON or a checkpoint, and the names of all of them as `fields`: torch's distributed
        checkpoint returns only the names it is asked for, so names that a later version saved would go unnoticed. With
        one size for all batches there is no `size`, as in states of older versions."""
        values = {name: value for name, value in asdict(self).items() if name != "size" or value is not None}
        return {**values, "fields": sorted(values)}


def check(state: Mapping[str, object], expected: LoaderState, adopt: Collection[str] = ()) -> LoaderState:
    """Returns the state of a plain dict if it belongs to the run that `expected` describes (its epoch and turn do not
    matter).

    Fields named in `adopt` are taken as saved: those that the configuration leaves open. Raises TagmillError that names
    every field that is unknown, missing, of another type or of another value, with both values and the remedy.
    """
    varied = "size" in state
    state = {**NOT_YET, **state}
    if state.get("version") != expected.version:
        found = state.get("version")
        raise TagmillError(f"version is {found!r}, this run's is {expected.version!r}", "state", REMEDIES["version"])
    known, named = {entry.name for entry in fields(LoaderState)}, state.pop("fields", [])
    if not isinstance(named, list):
        raise TagmillError(f"fields is {named!r}", "state", "give the state as the loader saved it")
    if "size" in named and not varied:  # a checkpoint returned only the names of a loader with one size
        raise TagmillError("saved with a size that varies, this run's is one size", "state", REMEDIES["size"])
    unknown, missing = sorted({*state, *map(str, named)} - known), sorted(known - state.keys())
    if unknown or missing:
        what = "; ".join(
            f"{text} {', '.join(names)}" for text, names in (("unknown", unknown), ("missing", missing)) if names
        )
        raise TagmillError(f"not this loader's fields: {what}", "state", REMEDIES["version"])
    for name in (*POSITION, *(name for name in adopt if isinstance(getattr(expected, name), int))):
        value, least = state[name], 0 if name in POSITION else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise TagmillError(f"{name} is {value!r}", "state", f"it must be a whole number of at least {least}")
    wanted = asdict(expected)
    settled = [name for name in wanted if name not in POSITION and name not in adopt]
    different = [name for name in settled if type(state[name]) is not type(wanted[name]) or state[name] != wanted[name]]
    if different:
        what = "; ".join(f"{name} is {state[name]!r}, this run's is {wanted[name]!r}" for name in different)
        remedies = dict.fromkeys(
            REMEDIES.get(name, "configure the loader as it was when the run began") for name in different
        )
        raise TagmillError(what, "state", "; ".join(remedies))
    return LoaderState(**dict(state))  # type: ignore[arg-type]  # checked field by field above
