"""One of two ranks that resume from a distributed checkpoint and write another: `checkpointer.py URL RENDEZVOUS FROM TO
FILE`.

The loader gets rank and world size from torch.distributed alone, as with a launcher that does not set RANK. After two
batches it writes TO, then FILE (JSON) with its samples and the error that a loader of another run raises for FROM.
"""

import json
import sys
from itertools import islice
from pathlib import Path

import torch.distributed as dist
import torch.distributed.checkpoint as dcp

from tagmill.pipeline import Loader, LoaderConfig
from tagmill.shards import TagmillError

CONFIG = LoaderConfig(
    batch_size=10, streams=4, window=2, chunk=4, size=16, threads=1, readers=2, epochs=2, backend="cpu", mixup=0.2
)


def main(url: str, rendezvous: str, before: str, after: str, file: str) -> None:
    rank = int(sys.argv[6])
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    with Loader(url, LoaderConfig(**{**vars(CONFIG), "seed": 5})) as other:
        try:
            dcp.load({"loader": other}, checkpoint_id=before)
            complaint = ""
        except TagmillError as error:
            complaint = str(error)
    with Loader(url, CONFIG) as loader:
        dcp.load({"loader": loader}, checkpoint_id=before)
        seen = [batch.positions[batch.positions >= 0].tolist() for batch in islice(loader, 2)]
        dcp.save({"loader": loader}, checkpoint_id=after)
    Path(file).write_text(json.dumps({"seen": seen, "complaint": complaint}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:6])
