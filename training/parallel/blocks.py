"""The blocks of a network: what FSDP gathers, and torch.compile compiles, at a time."""

from collections import defaultdict

from torch import nn

NEARLY = 0.9  # of the share of the heaviest class: a stage weighs as much as its blocks, which are preferred
LIGHT = (
    0.1  # of an average block: a lighter one stays with the rest of the network, it is not worth a message of its own
)


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Returns the blocks of a network, in its order; empty if it has none.

    They are the instances of one class of modules: of the classes whose outermost instances (two or more, not containers)
    hold nearly the most weights together, that with the most instances. Those are the blocks of a ViT and the bottlenecks of
    a ResNet, ResNeXt, RegNetY or BiT. Blocks much lighter than the average, as those of a ResNet's first stage, are left out.
    """
    outermost: dict[type[nn.Module], list[nn.Module]] = defaultdict(list)
    _collect(model, frozenset(), outermost)
    repeated = {kind: found for kind, found in outermost.items() if len(found) > 1}
    weights = {kind: sum(map(_weights, found)) for kind, found in repeated.items()}
    most = max(weights.values(), default=0)
    chosen = [found for kind, found in repeated.items() if weights[kind] >= NEARLY * most]
    blocks = max(chosen, key=len, default=[])
    return [block for block in blocks if _weights(block) * len(blocks) >= LIGHT * sum(map(_weights, blocks))]


def _collect(
    module: nn.Module, above: frozenset[type[nn.Module]], found: dict[type[nn.Module], list[nn.Module]]
) -> None:
    for child in module.children():
        kind = type(child)
        composite = next(child.children(), None) is not None and kind not in (nn.Sequential, nn.ModuleList)
        if composite and kind not in above and _weights(child):
            found[kind].append(child)
        _collect(child, above | {kind}, found)


def _weights(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())
