"""DALI's decoder without a loader, on a GPU the limit: the windows that tagmill crops, from memory, without resize or
delivery.

`--choices` has `window` (region: DALI decodes regions; full: whole images; cut: whole images that tagmill has cut to the
windows, in the thread that feeds) and `hw_decoder_load`.
"""

import argparse
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def, types

from tagmill.bench import corpora
from tagmill.bench.peers import stopwatch
from tagmill.pipeline.augment.draws import train_crops
from tagmill.pipeline.decode.cut import cut_windows

AHEAD = 2


def batches(options: argparse.Namespace) -> Iterator[int]:
    pictures, width, height = corpora.in_memory(options.data)
    jpegs = [np.frombuffer(picture, np.uint8) for picture in pictures]
    order, window = np.random.default_rng(0).permutation(len(jpegs)), options.choices.get("window", "region")

    def feed() -> Iterator[Any]:
        for number in count():
            positions = np.arange(number * options.batch, (number + 1) * options.batch)
            rows = order[positions % len(order)]
            crops = train_crops(0, 0, positions, width[rows], height[rows])
            anchors, shapes = np.stack([crops.x, crops.y], -1), np.stack([crops.width, crops.height], -1)
            if window == "cut":
                cuts, _ = cut_windows([pictures[row] for row in rows], crops)
                yield [np.frombuffer(cut or b"", np.uint8) for cut in cuts], list(anchors), list(shapes)
            else:
                yield [jpegs[row] for row in rows], list(anchors), list(shapes)

    device = None if options.device == "cpu" else int(options.device.partition(":")[2] or 0)
    decoder: dict[str, Any] = {"device": "cpu" if device is None else "mixed"}
    if device is not None and "hw_decoder_load" in options.choices:
        decoder["hw_decoder_load"] = options.choices["hw_decoder_load"]

    @pipeline_def(batch_size=options.batch, num_threads=options.threads, device_id=device, prefetch_queue_depth=AHEAD)
    def graph():  # type: ignore[no-untyped-def]
        jpeg, anchor, shape = fn.external_source(feed(), num_outputs=3, dtype=[types.UINT8, types.INT32, types.INT32])
        if window != "region":
            return fn.decoders.image(jpeg, **decoder)
        absolute: dict[str, Any] = {"axis_names": "WH", "normalized_anchor": False, "normalized_shape": False}
        return fn.decoders.image_slice(jpeg, anchor, shape, **absolute, **decoder)

    pipeline = graph()
    pipeline.build()
    while True:
        pipeline.run()
        yield options.batch


if __name__ == "__main__":
    stopwatch.run(batches, ("nvidia-dali-cuda130",))
