"""tagmill in a plain torch loop, on one process or several. The same line resumes a killed run.

    python examples/plain_loop.py CORPUS OUTPUT STEPS
    torchrun --standalone --nproc-per-node 2 examples/plain_loop.py CORPUS OUTPUT STEPS

The lines that tagmill requires are marked.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from tagmill.pipeline import Loader, LoaderConfig, World

CONFIG = LoaderConfig(batch_size=16, size=32, output="float32", streams=8, chunk=8, seed=1)


def main(corpus: str, output: Path, steps: int) -> None:
    world = World.from_environment()
    if world.size > 1:
        dist.init_process_group("gloo")
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    loader = Loader(corpus, CONFIG)  # tagmill 1: it reads this rank's share, and knows the rank
    classes = loader.num_classes
    model = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, classes))
    forward = nn.parallel.DistributedDataParallel(model) if world.size > 1 else model
    optimiser, step, file = torch.optim.SGD(model.parameters(), 0.1, 0.9), 0, output / "checkpoint.pt"
    if file.exists():
        saved = torch.load(file, weights_only=True)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        loader.load_state_dict(saved["loader"])  # tagmill 2: saved by any number of ranks
        step = saved["step"]
    for batch in loader.endless():  # tagmill 3: epoch after epoch; `for batch in loader` is one epoch
        rows, ids, weights = batch.terms()  # tagmill 4: (image, label) pairs; a hole and padding have none
        loss = -(weights * torch.log_softmax(forward(batch.images), 1)[rows, ids]).sum()
        optimiser.zero_grad()
        # The number of images differs a little between ranks: the sum by the nominal size, times the ranks over which
        # DDP averages.
        torch.autograd.backward(loss * world.size / CONFIG.batch_size)
        optimiser.step()
        step, total = step + 1, loss.detach()
        if world.size > 1:
            dist.all_reduce(total)  # of this batch's images, over all ranks
        if world.rank == 0:
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
            state["loader"] = loader.state_dict()  # tagmill 5: the loader's position, the same on every rank
            torch.save(state, file.with_suffix(".new"))
            file.with_suffix(".new").replace(file)
            print(step, total.item())
        if step >= steps:
            break
    loader.close()
    if world.size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
