"""A process that iterates a loader for the tests: `walker.py URL STATE_FILE [RENDEZVOUS]`.

After every batch it replaces STATE_FILE by {"state", "seen"}, where `seen` is the content of all batches so far. With a
rendezvous file it is one of several ranks (RANK, WORLD_SIZE), which exchange their positions through gloo.
"""

import hashlib
import itertools
import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from tagmill.pipeline import Loader, LoaderConfig

PAUSE_SECONDS = 0.02  # so that there is time to kill it


def main(url: str, file: Path, rendezvous: str | None) -> None:
    saved = json.loads(file.read_text()) if file.exists() else None
    seen: list[object] = saved["seen"] if saved else []
    if rendezvous:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{rendezvous}",
            rank=int(os.environ["RANK"]),
            world_size=int(os.environ["WORLD_SIZE"]),
        )
    config = LoaderConfig(
        batch_size=10, streams=4, window=2, chunk=4, size=16, threads=1, readers=2, epochs=2, backend="cpu"
    )
    with Loader(url, config) as loader:
        if saved:
            loader.load_state_dict(saved["state"])
        for batch in itertools.chain.from_iterable(itertools.repeat(loader, config.epochs - loader.own_epochs[0])):
            positions = batch.positions.clone()
            if rendezvous:
                parts = [torch.empty_like(positions) for _ in range(dist.get_world_size())]
                dist.all_gather(parts, positions)
                positions = torch.cat(parts)
            images = hashlib.sha256(batch.images.contiguous().numpy().tobytes()).hexdigest()
            seen.append([positions[positions >= 0].tolist(), images])
            spool = file.with_suffix(".new")
            spool.write_text(json.dumps({"state": loader.state_dict(), "seen": seen}))
            spool.replace(file)
            if not rendezvous:
                time.sleep(PAUSE_SECONDS)
    if rendezvous:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
