"""The settings of a run: its fields are the flags of `tagmill train` and the keys of a recipe."""

from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Literal

from tagmill.pipeline import LoaderConfig, parse_size
from tagmill.shards import ConfigError
from tagmill.shards.settings.ranges import Between, Count, CountOrZero, Share, check_fields

BelowOne = Annotated[float, Between(0, 1)]  # and not 1, which `__post_init__` checks
MOST_LR = 1e37  # a float32, as the weights are
LENGTHS = frozenset({"epochs", "steps", "images"})
"""The fields that limit a run; one that is given on the command line takes the place of a recipe's others."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What is trained on, where the result goes, and how long the run is."""

    recipe: str | None = None
    """TOML file with values of the other flags, which override it."""
    corpus: str = "out/demo/corpus"
    """Folder or bucket prefix of the corpus."""
    view: str = "default"
    """View of the corpus whose labels are learnt."""
    output: str = "out/model"
    """Folder that all processes see, for checkpoints, metrics.jsonl and evaluation.json."""
    resume: str = "auto"
    """auto: continue from the newest checkpoint of the output; a step: from the checkpoint of that step; never: start again."""
    dry_run: bool = False
    """Print what would be done, and stop."""
    processes: Count | None = None
    """With --dry-run: the processes to plan for. By default those that are running."""
    seed: int = 0
    """Seed of the weights, the order and the augmentation."""
    epochs: Count | None = None
    """Length in epochs, by default 1. Of several limits, the first that is reached ends the run; one that is given as a flag
    replaces those of the recipe."""
    steps: Count | None = None
    """Length in steps of the optimiser."""
    images: Count | None = None
    """Length in images."""
    checkpoint_every: Count = 1000
    """Steps between two checkpoints."""
    keep: Count = 3
    """Checkpoints that are kept, the newest ones."""
    log_every: Count = 20
    """Steps between two lines of the log."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network, and how it is run."""

    model: str = "resnet50"
    """Name of a model of timm."""
    model_args: dict[str, int | float | bool | str] = field(default_factory=dict)
    """Arguments of timm's create_model."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the forward pass; the last layer and the loss are always computed in float32."""
    channels_last: bool = True
    """Keep images and weights in channels-last order."""
    compile: bool = False
    """Compile the model with torch.compile."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the model."""


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """What the model is taught."""

    loss: Literal["softmax", "sigmoid"] = "softmax"
    """softmax: cross-entropy with a target of 1/k on each of an image's k labels. sigmoid: one yes-or-no question a label."""
    smoothing: Annotated[float, Between(0, 1)] = 0.0
    """Label smoothing: the share of a target that is spread over all labels."""
    label_weights: Literal["equal", "idf"] = "equal"
    """Weights of the labels within an image: equal, or their inverse document frequencies, so that rare ones count more."""
    shuffle_labels: bool = False
    """As a control, train each image with the labels of another one."""


@dataclass(frozen=True, kw_only=True)
class OptimiserOptions:
    """The optimiser and its schedule."""

    optimiser: Literal["sgd", "nesterov", "adamw"] = "nesterov"
    """SGD, SGD with Nesterov momentum, or AdamW."""
    momentum: BelowOne = 0.9
    """Momentum of SGD, or the first beta of AdamW; below 1."""
    beta2: BelowOne = 0.999
    """Second beta of AdamW; below 1."""
    lr: Annotated[float, Between(0, above=True)] = 0.1
    """Learning rate at its peak."""
    lr_batch_size: Count | None = None
    """Batch size that lr is for, scaled linearly; by default lr is not scaled."""
    warmup_steps: CountOrZero = 0
    """Steps of a linear warm-up that starts at warmup_lr."""
    warmup_lr: Annotated[float, Between(0)] = 0.0
    """Learning rate at the start of the warm-up."""
    schedule: Literal["cosine", "milestones", "constant"] = "cosine"
    """After the warm-up: half a cosine down to 0, times gamma at each milestone, or constant."""
    milestones: tuple[float, ...] = ()
    """Shares of the run, between 0 and 1 and rising, at which the rate changes."""
    gamma: Annotated[float, Between(0, above=True)] = 0.1
    """Factor of the rate at each milestone."""
    weight_decay: Annotated[float, Between(0)] = 1e-4
    """Weight decay."""
    decay_all: bool = True
    """Decay biases, norms and position embeddings too."""
    clip: Annotated[float, Between(0, above=True)] | None = None
    """Largest norm of the gradient; a larger gradient is scaled down to it. By default none is."""


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """The images of a step, and how they are read."""

    size: Count | str = 224
    """Pixels of a side; 128-320:32: drawn for each batch; 128-320:32@10: growing over 10 epochs."""
    evaluation_size: Count | None = None
    """Pixels of a side in the evaluation; by default the largest of size."""
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Brightness, contrast, saturation, hue."""
    randaugment: tuple[int, int] = (0, 0)
    """Number of RandAugment operations (1 to 16) and their magnitude (0 to 30)."""
    mixup: float = 0.0
    """Alpha of mixup, 0.01 to 100; 0 for none."""
    batch_size: Count = 256
    """Images of an optimiser step, over all processes."""
    accumulation: Count = 1
    """Parts in which a process computes its images of a step, where they do not fit at once; may change at a resume."""
    drop_last: bool = False
    """Leave out the last batch of an epoch if it is short."""
    backend: Literal["auto", "cpu", "dali", "both"] = "auto"
    """Decoder of the images."""
    threads: Count | None = None
    """Decoding threads of a process; by default its share of the machine's cores."""
    streams: Count | None = None
    """Streams of the shuffle (T); by default 256, or 8 per process if that is more."""
    window: Count = 2
    """Chunks that a stream mixes (w)."""
    chunk: Count = 64
    """Consecutive samples that are fetched together (C)."""
    memory_limit: Count = 8 << 30
    """Memory of a process's loader, bytes."""
    failure_budget: Share = 0.001
    """Share of images that may be unreadable before the run stops."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunOptions, ModelOptions, LossOptions, OptimiserOptions, ImageOptions):
    """A run. Raises ConfigError, with the field and what to give, for a value that is not valid."""

    def __post_init__(self) -> None:
        check_fields(self, "train")
        self._require(
            self.resume in ("auto", "never") or self.resume.isdecimal(), "resume", "give auto, never or a step"
        )
        for name in ("momentum", "beta2", "smoothing"):
            self._require(getattr(self, name) < 1, name, "give a number below 1")
        rising = all(0 < share < 1 for share in self.milestones) and list(self.milestones) == sorted(self.milestones)
        self._require(rising, "milestones", "give shares of the run between 0 and 1, in rising order")
        self._require(self.peak_lr <= MOST_LR, "lr", f"scaled by batch_size / lr_batch_size it is at most {MOST_LR:g}")
        self._require(self.accumulation <= self.batch_size, "accumulation", "give at most batch_size")
        self._require("://" not in self.output, "output", "give a folder of this machine, or a mounted one")
        self._require(
            self.processes is None or self.dry_run, "processes", "it is for --dry-run; torchrun starts processes"
        )
        self.loader_config()  # raises ConfigError

    @property
    def peak_lr(self) -> float:
        """The learning rate after the warm-up: `lr`, scaled linearly with the batch size."""
        return self.lr * self.batch_size / (self.lr_batch_size or self.batch_size)

    def loader_config(self, split: Literal["train", "holdout"] = "train", device: str = "cpu") -> LoaderConfig:
        """Returns how a split is read: train augmented and for the run's epochs, holdout unaugmented and once."""
        names = {entry.name for entry in fields(LoaderConfig)} & {entry.name for entry in fields(self)} - {"output"}
        values = {name: getattr(self, name) for name in names} | {"device": device}
        values |= {"size": parse_size(self.size), "epochs": self.epochs or (None if self.steps or self.images else 1)}
        config = LoaderConfig(**values)
        plain = {name: getattr(LoaderConfig, name) for name in ("jitter", "randaugment", "mixup")}
        plain |= {"split": split, "augment": "eval", "drop_last": False, "epochs": 1}
        plain |= {"size": self.evaluation_size or config.largest_size}
        return config if split == "train" else replace(config, **plain)

    def _require(self, fits: bool, name: str, remedy: str) -> None:
        if not fits:
            raise ConfigError(f"{name} = {getattr(self, name)!r}", "train", remedy)
