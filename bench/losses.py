"""Measures the losses of the trainer beside torch's with dense targets: processor time, and bytes beside the logits.

python bench/losses.py [--rounds N] [--quick] [--out FILE.json]

For 17,000 and 27,000 labels, three an image, on one thread. A figure is milliseconds of processor time for the loss and its
gradient with respect to the logits; torch's side makes its dense target for each batch, as a trainer has to, or is given it
(`target given`). `autograd` is our forward formula with the gradient that autograd derives. Bytes are in units of the logits:
what is kept for the backward pass, and the most that it allocates; the logits and the dense target count.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import truediv

import torch
from torch.nn import functional

from tagmill.bench import measure
from tagmill.pipeline import Terms
from tagmill.training.step.losses import sigmoid_loss, softmax_loss

LABELS = 3  # of an image
SIZES = ((64, 17_000), (64, 27_000), (128, 17_000), (128, 27_000))
QUICK = ((4, 300),)
Way = Callable[[torch.Tensor], torch.Tensor]  # from logits to a loss


@dataclass(frozen=True)
class Target:
    """The labels of a batch: pairs, and which pairs with 1/k and with 1."""

    shared: Terms
    whole: Terms
    shape: tuple[int, int]

    @classmethod
    def drawn(cls, images: int, labels: int) -> "Target":
        """Draws labels, the same in each call."""
        draw = torch.Generator().manual_seed(0)
        rows = torch.arange(images).repeat_interleave(LABELS)
        ids = torch.stack([torch.randperm(labels, generator=draw)[:LABELS] for _ in range(images)]).flatten()
        ones = torch.ones(len(rows))
        return cls(Terms(rows, ids, ones / LABELS), Terms(rows, ids, ones), (images, labels))

    def dense(self, terms: Terms) -> torch.Tensor:
        """Returns the target of every label, float32 [images, labels]."""
        return torch.zeros(self.shape).index_put_((terms.rows, terms.ids), terms.weights, accumulate=True)


def by_autograd(logits: torch.Tensor, terms: Terms) -> torch.Tensor:
    """Returns the softmax loss of pairs, whose gradient autograd derives."""
    normaliser = torch.logsumexp(logits, dim=1)
    return (terms.weights * (normaliser[terms.rows] - logits[terms.rows, terms.ids])).sum()


def ways(target: Target) -> dict[str, Way]:
    """Returns the losses that are compared."""
    shared, whole = target.shared, target.whole
    ready, ready_ones = target.dense(shared), target.dense(whole)
    softmax, sigmoid = functional.cross_entropy, functional.binary_cross_entropy_with_logits
    return {
        "softmax, tagmill": lambda logits: softmax_loss(logits, shared),
        "softmax, autograd": lambda logits: by_autograd(logits, shared),
        "softmax, torch": lambda logits: softmax(logits, target.dense(shared), reduction="sum"),
        "softmax, torch, target given": lambda logits: softmax(logits, ready, reduction="sum"),
        "sigmoid, tagmill": lambda logits: sigmoid_loss(logits, shared, whole),
        "sigmoid, torch": lambda logits: sigmoid(logits, target.dense(whole), reduction="sum"),
        "sigmoid, torch, target given": lambda logits: sigmoid(logits, ready_ones, reduction="sum"),
    }


def milliseconds(way: Way, logits: torch.Tensor, times: int) -> float:
    """Returns the processor time of a loss and its gradient, a mean over some calls."""
    start = time.process_time()
    for _ in range(times):
        logits.grad = None
        torch.autograd.backward(way(logits))
    return 1000 * (time.process_time() - start) / times


def kept(way: Way, logits: torch.Tensor) -> float:
    """Returns the bytes that a loss keeps for its backward pass, in units of the logits."""
    found: dict[int, int] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        found[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        way(logits)
    return sum(found.values()) / logits.nbytes


def allocated(way: Way, logits: torch.Tensor) -> float:
    """Returns the most bytes that the backward pass has allocated at once, in units of the logits."""
    logits.grad = None
    loss = way(logits)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        torch.autograd.backward(loss)
    assert profile.profiler is not None
    events = [each for each in profile.profiler.kineto_results.events() if each.name() == "[memory]"]
    changes = [int(each.nbytes()) for each in sorted(events, key=lambda each: each.start_ns())]
    return max(itertools.accumulate(changes)) / logits.nbytes


def measured(images: int, labels: int, rounds: int, times: int) -> dict[str, dict[str, object]]:
    """Returns the figures of every loss for one size of the logits."""
    target = Target.drawn(images, labels)
    logits = torch.randn(images, labels, generator=torch.Generator().manual_seed(1)).requires_grad_()
    calls: dict[str, Callable[[], float]] = {}
    for name, way in ways(target).items():
        milliseconds(way, logits, 1)
        calls[name] = partial(milliseconds, way, logits, times)
    found: dict[str, dict[str, object]] = {}
    for name, runs in measure.alternate(calls, rounds).items():
        sizes = {"kept": kept(ways(target)[name], logits), "allocated": allocated(ways(target)[name], logits)}
        found[name] = {"unit": "ms", "median": statistics.median(runs), "runs": runs, **sizes}
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures every size in turn, and prints times, ratios and bytes."""
    options = measure.arguments((__doc__ or "").splitlines()[0]).parse_args(arguments)
    rounds, times = (2, 1) if options.quick else (options.rounds, 5)
    torch.set_num_threads(1)
    cases: dict[str, dict[str, object]] = {}
    ratios: dict[str, float] = {}
    for images, labels in QUICK if options.quick else SIZES:
        found = measured(images, labels, rounds, times)
        for name, case in found.items():
            loss, _, who = name.partition(", ")
            place = f"{images} x {labels:,} {loss}"
            cases[f"{place}, {who}"] = case
            text = (
                f"{place}, {who:22} {case['median']:8.2f} ms   keeps {case['kept']:.2f}, makes {case['allocated']:.2f}"
            )
            if who != "tagmill":
                ratio = statistics.median(map(truediv, found[f"{loss}, tagmill"]["runs"], case["runs"]))  # type: ignore[call-overload]
                ratios[f"{place}, tagmill/{who}"] = ratio
                text += f"   ratio {ratio:.2f}"
            print(text)
    if options.out:
        measure.write("losses", cases, ratios, options.out)


if __name__ == "__main__":
    main()
