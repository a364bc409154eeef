"""webdataset: encoded images in batches, shuffled by shard and in a buffer, by DataLoader's workers; no decoding.

From S3, which it does not support itself, `opener` is one of the two usual ways: `pipe`, a command whose output is the
tar, here curl with signed URLs; or `fsspec`, a file of s3fs. A tar that breaks is reported and left, as in
usual training scripts.
"""

import argparse
from collections.abc import Iterator

import botocore.session
import webdataset
from webdataset.gopen import gopen_schemes

from tagmill.bench.corpora import shards
from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.pretended import Pretended
from tagmill.bench.peers.torch_pictures import workers
from tagmill.bench.peers.webdataset_tars import BUFFER, from_s3

SIGNED_SECONDS = 3600  # for which a URL is valid

decoders: list[Pretended] = []


def tars(options: argparse.Namespace) -> list[str]:
    """Returns the tars as webdataset is given them. `options.data` is a folder, or s3://BUCKET/FOLDER."""
    found = shards(options.data, ".tar")
    if not options.data.startswith("s3://"):
        return found
    if options.choices["opener"] == "fsspec":
        gopen_schemes["s3"] = from_s3
        return found
    client = botocore.session.get_session().create_client("s3")
    places = [url.removeprefix("s3://").partition("/") for url in found]
    given = [{"Bucket": bucket, "Key": key} for bucket, _, key in places]
    signed = [client.generate_presigned_url("get_object", Params=each, ExpiresIn=SIGNED_SECONDS) for each in given]
    return [f"pipe:curl -s -f --retry 5 --retry-all-errors '{url}'" for url in signed]


def batches(options: argparse.Namespace) -> Iterator[int]:
    decoders.append(Pretended(options.rate))
    urls = tars(options)
    settings = {"shardshuffle": len(urls), "handler": webdataset.warn_and_continue}
    dataset = webdataset.WebDataset(urls, select_files=lambda name: name.endswith(".jpg"), **settings)
    dataset = dataset.repeat().shuffle(BUFFER).to_tuple("jpg").batched(options.batch, partial=False)
    for (jpegs,) in webdataset.WebLoader(dataset, batch_size=None, **workers(options)):
        decoders[0].take(len(jpegs))
        yield len(jpegs)


if __name__ == "__main__":
    stopwatch.run(batches, ("webdataset", "torch"), totals=lambda: decoders[0].totals())
