"""tagmill with Hugging Face Accelerate. The same line resumes a killed run.

    python examples/accelerate_loop.py CORPUS OUTPUT STEPS
    torchrun --standalone --nproc-per-node 2 examples/accelerate_loop.py CORPUS OUTPUT STEPS

`accelerate launch --multi_gpu --num_processes N` starts a process for each GPU. On CPUs it starts one process, whatever
--num_processes says: there torchrun starts them.

The lines that tagmill requires are marked. Create the loader after the Accelerator, without a DataLoader around it: it
reads this rank's share already, and Accelerate would share that out again.
"""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from tagmill.pipeline import Loader, LoaderConfig

CONFIG = LoaderConfig(batch_size=16, size=32, output="float32", streams=8, chunk=8, seed=1)


def main(corpus: str, output: Path, steps: int) -> None:
    accelerator = Accelerator(cpu=True, step_scheduler_with_optimizer=False)
    torch.manual_seed(0)
    loader = Loader(corpus, CONFIG)  # tagmill 1: it knows the rank, because Accelerate started torch.distributed
    model = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, loader.num_classes))
    model, optimiser = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.1, 0.9))
    accelerator.register_for_checkpointing(loader)  # tagmill 2: save_state and load_state include it
    folder, step = output / "checkpoint", 0
    if folder.exists():
        accelerator.load_state(str(folder))
        step = int((folder / "step").read_text())
    for batch in loader.endless():  # tagmill 3: epoch after epoch; `for batch in loader` is one epoch
        batch = batch.to(accelerator.device)  # tagmill 4
        rows, ids, weights = batch.terms()  # tagmill 5: (image, label) pairs; a hole and padding have none
        loss = -(weights * torch.log_softmax(model(batch.images), 1)[rows, ids]).sum()
        optimiser.zero_grad()
        accelerator.backward(loss * accelerator.num_processes / CONFIG.batch_size)
        optimiser.step()
        step += 1
        if step >= steps or step % 100 == 0:
            accelerator.save_state(str(folder))
            if accelerator.is_main_process:
                (folder / "step").write_text(str(step))
        accelerator.print(step, accelerator.reduce(loss.detach(), "sum").item())  # over all ranks
        if step >= steps:
            break
    loader.close()
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
