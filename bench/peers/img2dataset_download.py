"""img2dataset: the call of its documentation, to the same sizes, with its defaults otherwise (including sha256 and
EXIF).

Its shards are so small that both processes have work until the end; its default of 10,000 samples is for longer lists.
"""

import json
from pathlib import Path

from img2dataset import download

from tagmill.bench.peers.whole import options, report

SHARD = 500  # samples
THREADS = 64  # as in the examples of its documentation

if __name__ == "__main__":
    given = options()
    download(
        url_list=given.list,
        output_folder=given.output,
        input_format="parquet",
        url_col="url",
        caption_col="caption",
        output_format="webdataset",
        image_size=256,
        resize_mode="keep_ratio",
        resize_only_if_bigger=True,
        encode_quality=90,
        processes_count=given.processes,
        thread_count=THREADS,
        number_sample_per_shard=SHARD,
        enable_wandb=False,
    )
    stats = [json.loads(path.read_text()) for path in Path(given.output).glob("*_stats.json")]
    tars = sum(path.stat().st_size for path in Path(given.output).glob("*.tar"))
    report(sum(each["successes"] for each in stats), tars, ("img2dataset", "opencv-python-headless", "webdataset"))
