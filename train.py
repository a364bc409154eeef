"""Trains a model to predict the labels of a corpus: one page, read from top to bottom, meant to be forked.

One process, on the CPU or on one GPU:
    python -m tagmill.train --recipe recipes/demo.toml --corpus out/demo/corpus --output out/model
One node of 8 GPUs:
    torchrun --standalone --nproc-per-node 8 -m tagmill.train --recipe recipes/swag2022-vit-b16.toml --corpus ... --output ...
Two nodes, the same line on each, with the address of one of them:
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m tagmill.train --recipe ...

The same line resumes a killed run from its last checkpoint, on any number of processes: a checkpoint counts turns of the
loader's plan, which do not depend on ranks. `--dry-run` prints the plan and ends.
"""

import hashlib
import io
import json
import math
import os
import pickle
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, Literal, cast

import timm
import torch
import torch.distributed as dist
from rich.console import Console
from torch import nn

from tagmill.pipeline import Batch, Labels, Loader, LoaderConfig, Terms, World, parse_size
from tagmill.shards import ConfigError, Corpus, Store, TagmillError, View, Vocabulary
from tagmill.shards.settings.options import CommandLine
from tagmill.shards.settings.ranges import Count, Share, check_fields
from tagmill.shards.settings.recipe import read_recipe


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A run. Its fields are the flags; a recipe (TOML) gives values to them, and flags override the recipe."""

    recipe: str | None = None  # TOML file with values of the flags below; flags override it.
    corpus: str = "out/demo/corpus"  # Folder or bucket prefix of the corpus.
    output: str = "out/model"  # Folder that all processes see, for checkpoint.pt, metrics.jsonl and evaluation.json.
    resume: Literal["auto", "never"] = "auto"  # Continue from the output's checkpoint, or replace it (never).
    dry_run: bool = False  # Print what would be done, and stop.
    seed: int = 0  # Seed of the weights, the order and the augmentation.
    model: str = "resnet50"  # Name of a model of timm.
    model_args: dict[str, int | float | bool | str] = field(default_factory=dict)  # Arguments of timm's create_model.
    view: str = "default"  # View of the corpus whose labels are learnt.
    size: Count | str = 224  # Pixels of a side; 128-320:32: random by batch; 128-320:32@10: growing over 10 epochs.
    evaluation_size: Count | None = None  # Pixels of a side in the evaluation; by default the largest of size.
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # Brightness, contrast, saturation, hue.
    randaugment: tuple[int, int] = (0, 0)  # Number of RandAugment operations (1 to 16) and their magnitude (0 to 30).
    mixup: float = 0.0  # Alpha of mixup, 0.01 to 100; 0 for none.
    batch_size: Count = 256  # Images of an optimiser step, over all processes.
    accumulation: Count = 1  # Parts in which the images of a step are processed, where they do not fit at once.
    epochs: Count | None = None  # Length in epochs, by default 1; the first limit of epochs, steps, images counts.
    steps: Count | None = None  # Length in steps.
    images: Count | None = None  # Length in images.
    optimiser: Literal["sgd", "nesterov", "adamw"] = "nesterov"  # Optimiser: SGD, SGD with Nesterov momentum, or AdamW.
    momentum: float = 0.9  # Momentum of SGD, or the first beta of AdamW.
    beta2: float = 0.999  # Second beta of AdamW.
    lr: float = 0.1  # Learning rate at its peak.
    lr_batch_size: int | None = None  # Batch size that lr is for, scaled linearly; by default lr is not scaled.
    warmup_steps: int = 0  # Steps of a linear warm-up that starts at warmup_lr.
    warmup_lr: float = 0.0  # Learning rate at the start of the warm-up.
    schedule: Literal["cosine", "milestones"] = "cosine"  # Cosine to 0, or times gamma at each milestone.
    milestones: tuple[float, ...] = ()  # Shares of the run at which the rate changes.
    gamma: float = 0.1  # Factor of the rate at each milestone.
    weight_decay: float = 1e-4  # Weight decay.
    decay_all: bool = True  # Decay biases, norms and position embeddings too.
    shuffle_labels: bool = False  # As a control, train each image with the labels of another one.
    precision: Literal["fp32", "bf16"] = "fp32"  # Precision of the forward pass.
    channels_last: bool = True  # Keep images and weights in channels-last order.
    compile: bool = False  # Compile the model with torch.compile.
    device: Literal["auto", "cpu", "cuda"] = "auto"  # Device of the model.
    backend: Literal["auto", "cpu", "dali", "both"] = "auto"  # Decoder of the images.
    threads: Count | None = None  # Decoding threads of a process; by default its share of the machine's cores.
    streams: Count | None = None  # Streams of the shuffle (T); by default 256, or 8 per process if that is more.
    window: Count = 2  # Chunks that a stream mixes (w).
    chunk: Count = 64  # Consecutive samples that are fetched together (C).
    drop_last: bool = False  # Leave out the last batch of an epoch if it is short.
    memory_limit: Count = 8 << 30  # Memory of a process's loader, bytes.
    failure_budget: Share = 0.001  # Share of images that may be unreadable before the run stops.
    log_every: Count = 20  # Steps between two lines of the log.
    checkpoint_every: Count = 1000  # Steps between two checkpoints.

    def __post_init__(self) -> None:
        check_fields(self, "train")
        if self.batch_size % self.accumulation:
            raise ConfigError(f"accumulation = {self.accumulation}", "train", "it must divide batch_size")
        if "://" in self.output:
            raise ConfigError(f"output = {self.output!r}", "train", "give a folder of this machine, or a mounted one")
        self.loader_config()  # raises ConfigError

    def loader_config(self, split: Literal["train", "holdout"] = "train", device: str = "cpu") -> LoaderConfig:
        """Returns how a split is read: train augmented and for the run's epochs, holdout unaugmented and once."""
        names = {entry.name for entry in fields(LoaderConfig)} & {entry.name for entry in fields(self)} - {"output"}
        values = {name: getattr(self, name) for name in names} | {"device": device}
        values |= {"size": parse_size(self.size), "epochs": self.epochs or (None if self.steps or self.images else 1)}
        config = LoaderConfig(**{**values, "batch_size": self.batch_size // self.accumulation})
        plain = {name: getattr(LoaderConfig, name) for name in ("jitter", "randaugment", "mixup")}
        plain |= {"split": split, "augment": "eval", "drop_last": False, "epochs": 1}
        plain |= {"size": self.evaluation_size or config.largest_size}
        return config if split == "train" else replace(config, **plain)


TRAIN_COMMAND = CommandLine("tagmill train", "Train a model on a corpus.", (TrainConfig,))


def load_recipe(path: str | Path) -> TrainConfig:
    """Reads a configuration from a TOML file. Raises ConfigError for an unknown key or a value of another type."""
    return TrainConfig(**read_recipe(path, TrainConfig, without=("recipe",)), recipe=str(path))


# ------------------------------------------------------------------------------------------- Loss, learning rate, model
def tag_loss(logits: torch.Tensor, terms: Terms) -> torch.Tensor:
    """Returns the softmax cross-entropy with a target of 1/k on each of an image's k labels, summed over the images of
    `logits` [b, L]; images without labels add nothing. The loss of Mahajan et al. 2018 and of Singh et al. 2022."""
    return -(terms.weights * torch.log_softmax(logits.float(), dim=1)[terms.rows, terms.ids]).sum()


def shuffled(labels: Labels, state: Mapping[str, object], positions: torch.Tensor) -> Labels:
    """Returns labels permuted among the labelled images by a random cycle that state and positions seed."""
    digest = hashlib.sha256(repr((sorted(state.items()), positions.tolist())).encode()).digest()
    return labels.shuffled(int.from_bytes(digest[:7], "big"))


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Returns the learning rate of step `step` (from 0) of `steps`: linear warm-up to the peak, then the schedule."""
    peak = config.lr * config.batch_size / (config.lr_batch_size or config.batch_size)
    if step < config.warmup_steps:
        return config.warmup_lr + (peak - config.warmup_lr) * (step + 1) / config.warmup_steps
    if config.schedule == "milestones":
        return peak * config.gamma ** sum(step >= share * steps for share in config.milestones)
    share = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def build_model(config: TrainConfig, num_classes: int) -> nn.Module:
    """Builds the model, with one output for each label. Raises ConfigError for a name or argument unknown to timm."""
    try:
        return cast(nn.Module, timm.create_model(config.model, num_classes=num_classes, **config.model_args))
    except (RuntimeError, TypeError) as error:
        near = ", ".join(timm.list_models(f"{config.model[:6]}*")[:9])
        what = f"no model {config.model!r} with {config.model_args or 'no arguments'}: {error}"
        raise ConfigError(what, "timm", f"similar names: {near or 'none'}") from error


def check_sizes(config: TrainConfig, num_classes: int) -> None:
    """Raises ConfigError if the model, built without weights, refuses images of a size of the run: many take only one."""
    size, side = config.loader_config().size, 0
    sides = {config.evaluation_size or 0, *(() if isinstance(size, int) else size.sides)} - {0}
    try:
        with torch.device("meta"), torch.inference_mode(), suppress(NotImplementedError):  # of layers that need weights
            model = build_model(config, num_classes).eval() if sides else nn.Identity()
            for side in sorted(sides):
                model(torch.zeros(1, 3, side, side))
    except (RuntimeError, AssertionError, ValueError) as error:
        remedy = "give sizes that suit the model, or another one (of timm, a ViT with model_args.dynamic_img_size takes many)"
        raise ConfigError(f"{config.model} takes no images of {side} pixels: {error}", "train", remedy) from error


def build_optimiser(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Builds the optimiser with two groups of weights, with and without decay; every step sets the learning rate."""
    own: set[str] = getattr(model, "no_weight_decay", set)()
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, value in model.named_parameters():
        groups[not config.decay_all and (value.ndim <= 1 or name in own)].append(value)
    decayed = [{"params": groups[0], "weight_decay": config.weight_decay}, {"params": groups[1], "weight_decay": 0.0}]
    if config.optimiser == "adamw":
        return torch.optim.AdamW(decayed, config.lr, (config.momentum, config.beta2))
    return torch.optim.SGD(decayed, config.lr, config.momentum, nesterov=config.optimiser == "nesterov")


def scores(model: nn.Module, batch: Batch, config: TrainConfig, count: int | None = None) -> torch.Tensor:
    """Returns the logits [b, L] of the first `count` images, normalised on the batch's device."""
    low = config.precision == "bf16"
    images = batch.normalised("bfloat16" if low else "float32", LoaderConfig.mean, LoaderConfig.std).images[:count]
    with torch.autocast(images.device.type, torch.bfloat16, enabled=low):
        return cast(torch.Tensor, model(images))


# --------------------------------------------------------------------------------------------------------- Checkpoints
# What may change between a run and its resumption: where things are, and how fast. The loader's state holds its own.
FREE = {"recipe", "corpus", "output", "resume", "dry_run", "channels_last", "compile", "device", "backend", "threads"}
FREE |= {"streams", "memory_limit", "failure_budget", "log_every", "checkpoint_every"}


def identity(config: TrainConfig, vocabulary: Vocabulary) -> dict[str, Any]:
    """Returns the values, besides the loader's state, on which a run depends: a checkpoint must agree with them."""
    own = {name: value for name, value in json.loads(json.dumps(asdict(config))).items() if name not in FREE}
    return {"format": 1, "vocabulary": vocabulary.classes_sha256, **own}


def restore(path: Path, wanted: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Loads a checkpoint. Raises TagmillError that names each value that differs from `wanted`, with the remedy."""
    away = "give another --output, or --resume never to start over"
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = dict(saved["identity"])
    except (pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError) as error:
        raise TagmillError(f"not a checkpoint, or a truncated one ({type(error).__name__})", path, away) from error
    if found.get("vocabulary") == hashlib.sha256(vocabulary.json()).hexdigest():  # as in older checkpoints
        found["vocabulary"] = wanted["vocabulary"]
    if differ := sorted(name for name in {**wanted, **found} if found.get(name) != wanted.get(name)):
        what = "; ".join(f"{name} is {found.get(name)!r}, this run's is {wanted.get(name)!r}" for name in differ)
        raise TagmillError(f"checkpoint of another run: {what}", path, f"give the same values, or {away}")
    return saved


# ---------------------------------------------------------------------------------------------------------- Evaluation
@torch.inference_mode()
def evaluate(model: nn.Module, config: TrainConfig, loader: Loader, device: str) -> dict[str, Any]:
    """Computes the accuracy on the held-out images, exact over all processes.

    An image is right if its best label (top-5: one of its best five) is among its own; images without labels do not
    count. `mean_class_accuracy`: the share of right images of each label that occurs, averaged. `majority`: the share
    with the commonest label of the training images (lowest id among equals). `chance`: that of a random label, mean k / L.
    """
    model.eval()
    vocabulary = cast(Vocabulary, loader.vocabulary)
    carried, right = torch.zeros(2, len(vocabulary), dtype=torch.int64, device=device)
    sums = torch.zeros(4, dtype=torch.int64, device=device)  # images with labels, right in 1, right in 5, holes
    with loader:
        for batch in (batch.to(device, non_blocking=True) for batch in loader):
            best = scores(model, batch, config).topk(min(5, len(vocabulary))).indices
            rows, ids, _ = batch.labels.terms()
            hits = torch.zeros_like(best).index_add_(0, rows, (best[rows] == ids[:, None]).long())
            carried.index_add_(0, ids, torch.ones_like(ids))
            right.index_add_(0, ids, hits[rows, 0])
            labelled, holes = batch.labels.offsets.diff() > 0, batch.count - batch.valid.sum()
            sums += torch.stack([labelled.sum(), hits[:, 0].sum(), hits.any(1).sum(), holes])
    totals = torch.cat([sums, carried, right])
    if dist.is_initialized():
        dist.all_reduce(totals)
    (pictures, top1, top5, lost), (carried, right) = totals[:4].tolist(), totals[4:].double().cpu().chunk(2)
    if not pictures:
        return {}
    commonest = max(vocabulary.labels, key=lambda label: (label.images, -label.id))
    per_class = (right / carried)[carried > 0].mean().item()
    accuracy = {"top1": top1 / pictures, "top5": top5 / pictures, "mean_class_accuracy": per_class}
    baselines = {"majority": carried[commonest.id].item() / pictures, "majority_label": commonest.name}
    baselines["chance"] = carried.sum().item() / pictures / len(vocabulary)
    return {**accuracy, **baselines, "evaluated": {"pictures": pictures, "holes": lost}}


# ------------------------------------------------------------------------------------------------------------ Training
def train(config: TrainConfig) -> dict[str, Any]:
    """Trains to the end; returns the evaluation and, as "trained", the last line of the metrics; in a dry run, the
    plan. Raises TagmillError for a fault of corpus, configuration or machine, and if the loss is not finite."""
    with ExitStack() as stack:
        # The processes, which communicate by nccl on GPUs and gloo on CPUs; the corpus, in the same generation for all.
        world, cuda = World.from_environment(), config.device != "cpu" and torch.cuda.is_available()
        device, several = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu", world.size > 1
        if config.device == "cuda" and not cuda:
            raise ConfigError("device cuda, but torch sees no GPU", "train", "give --device cpu, or check nvidia-smi")
        if cuda:
            torch.cuda.set_device(device)
        corpus = Corpus.open(config.corpus, config.loader_config().cache_folder())
        console = Console(quiet=world.rank > 0, highlight=False, soft_wrap=True)
        loader = stack.enter_context(Loader(corpus, config.loader_config(device=device), world))
        view, vocabulary = cast(View, loader.view), cast(Vocabulary, loader.vocabulary)
        held_out = any(line.split == "holdout" and any(line.counts) for line in view.shards)
        if several:
            dist.init_process_group("nccl" if cuda else "gloo")
            stack.callback(dist.destroy_process_group)

        # The plan: computed from the configuration and the corpus.
        check_sizes(config, len(vocabulary))
        torch.manual_seed(config.seed)
        with torch.device("meta") if config.dry_run else nullcontext():
            model = build_model(config, len(vocabulary))
        weights, per_epoch = sum(p.numel() for p in model.parameters()), loader.batches_per_epoch / config.accumulation
        ends = (config.steps, (loader.config.epochs or 0) * per_epoch, (config.images or 0) / config.batch_size)
        steps = math.ceil(min(end for end in ends if end))
        peak = learning_rate(replace(config, warmup_steps=0, milestones=()), 0, steps)
        lines = [
            f"model      {config.model}, {weights:,} weights, {len(vocabulary):,} labels",
            f"corpus     {config.corpus}, view {config.view}, {loader.samples_per_epoch:,} samples an epoch",
            f"length     {steps:,} steps of {config.batch_size:,} images, {steps / per_epoch:,.2f} epochs",
            f"rate       {peak:g} after {config.warmup_steps:,} steps of warm-up, then {config.schedule}",
            f"processes  {world.size} on {device}, {loader.local_batch_size} images of {config.size} pixels at a time",
        ]
        console.print("\n".join(lines))
        plan = {"plan": lines, "steps": steps, "config": asdict(config)}
        if config.dry_run:
            return plan

        # The model, and the step to start from. Batch statistics are each process's own; rank 0's running ones stay.
        layout = torch.channels_last if config.channels_last else torch.preserve_format
        model = model.to(device).to(memory_format=layout)
        statistics = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
        optimiser, run, step, images = build_optimiser(config, model), identity(config, vocabulary), 0, 0
        store, path = Store(config.output), Path(config.output, "checkpoint.pt")
        journal = path.with_name("metrics.jsonl")
        if config.resume == "auto" and path.exists():
            saved = restore(path, run, vocabulary)
            model.load_state_dict(saved["model"])
            optimiser.load_state_dict(saved["optimiser"])
            loader.load_state_dict(saved["loader"])
            step, images = saved["step"], saved["images"]
            console.print(f"resumed    from step {step:,}")
        if several:
            dist.all_reduce(agreed := torch.tensor([step, -step], device=device), dist.ReduceOp.MAX)
            if agreed.sum():
                raise TagmillError("not every process sees the same checkpoint", path, "give an output that all share")
        if world.rank == 0:
            kept = [line for line in journal.open() if line.endswith("}\n")] if journal.exists() else []
            store.put(journal.name, "".join(line for line in kept if json.loads(line)["step"] <= step).encode())
            store.put("plan.json", json.dumps(plan, indent=1).encode())
        ranked: Any = nn.parallel.DistributedDataParallel(model) if several else model
        forward: Any = torch.compile(ranked) if config.compile else ranked

        # The loop. Sums stay on the device until they are logged, so that the host does not wait for it.
        epochs = repeat(loader, (loader.config.epochs or steps * config.accumulation) - loader.own_epochs[0])
        stream = chain.from_iterable(epochs)
        pending = []  # (step, the loader's state before it, [loss, images, holes]) of steps that are not logged yet
        line = dict[str, Any](step=step)  # the last logged line
        waited = 0.0  # seconds that the loader took since then
        first = step
        began = since = time.perf_counter()
        done = False
        while not done:
            before, asked = loader.state_dict(), time.perf_counter()
            parts = list(islice(stream, config.accumulation)) if step < steps else []
            waited += time.perf_counter() - asked
            if parts:
                torch.manual_seed(config.seed + 1 + step * world.size + world.rank)  # dropout is a function of the step
                for part in parts:
                    batch = part.to(device, non_blocking=True)
                    if config.shuffle_labels:
                        batch = replace(batch, labels=shuffled(batch.labels, before, part.positions))
                    with ranked.no_sync() if several and part is not parts[-1] else nullcontext():
                        logits = scores(forward, batch, config, max(2, batch.count) if statistics else None)
                        loss = tag_loss(logits, batch.terms())
                        # The sum over all images of the step, divided by its nominal size: DDP averages over processes.
                        torch.autograd.backward(loss * world.size / config.batch_size)
                    seen = batch.valid.sum()
                    pending.append((step + 1, before, torch.stack([loss.detach().double(), seen, batch.count - seen])))
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate(config, step, steps)
                optimiser.step()
                optimiser.zero_grad()
                step += 1
            done = not parts or step == steps
            due = done or step % config.checkpoint_every == 0
            if pending and (due or step % config.log_every == 0):
                sums = torch.stack([total for _, _, total in pending])
                if several:
                    dist.all_reduce(sums)
                for (number, at, _), (value, _, _) in zip(pending, sums.tolist()):
                    if not math.isfinite(value):
                        where = f"step {number:,} of {steps:,}, from epoch {at['epoch']}, turn {at['turn']}"
                        raise TagmillError(f"the loss is {value}", where, f"lower lr; {path} is of an earlier step")
                (value, seen, holes), now, state = sums.sum(0).tolist(), time.perf_counter(), loader.state_dict()
                images += int(seen + holes)
                rate, left = (seen + holes) / (now - since), (now - began) / (step - first) * (steps - step)
                line = {"step": step, "epoch": state["epoch"], "turn": state["turn"], "images": images}
                line |= {"loss": value / max(1, seen), "lr": optimiser.param_groups[0]["lr"], "images_per_second": rate}
                line |= {"seconds": now - since, "waited_seconds": waited, "holes": int(holes)}
                text = f"step {step:,}/{steps:,}  epoch {state['epoch']}  loss {line['loss']:.3f}  {rate:,.0f} images/s"
                console.print(f"{text}  waited {waited / (now - since):.0%}  {int(holes)} holes  {left:,.0f} s left")
                pending, waited, since = [], 0.0, now
                if world.rank == 0:
                    with journal.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    if due:
                        whole = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "loader": state}
                        torch.save({"identity": run, "step": step, "images": images, **whole}, sink := io.BytesIO())
                        store.put(path.name, sink.getvalue())  # atomic: a kill leaves the previous one

        # The evaluation.
        for buffer in model.buffers() if several else ():
            dist.broadcast(buffer, 0)
        result: dict[str, Any] = {"trained": line}
        if held_out:
            result |= evaluate(model, config, Loader(corpus, config.loader_config("holdout", device), world), device)
        if world.rank == 0:
            store.put("evaluation.json", json.dumps(result, indent=1).encode())
        text = "  ".join(f"{name} {value:.1%}" for name, value in result.items() if isinstance(value, float))
        console.print(f"loader     {loader.report()}\nlearnt     {text or 'no held-out images'}")
        return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command: values of a recipe, overridden by flags."""
    train(*TRAIN_COMMAND.parse(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    try:
        main()
    except TagmillError as error:
        sys.exit(f"tagmill train: {error}")
