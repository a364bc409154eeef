"""What a loader says that would need more memory than its limit: how large the images are, and what would fit."""

from tagmill.shards.errors import ConfigError


def over_limit(needed: int, limit: int, held: float, streams: int, window: int, chunk: int) -> ConfigError:
    """Returns the error of a rank that needs `needed` bytes, `held` of them for open samples, of `limit` bytes.

    A corpus of images with their own size of thousands of pixels has a hundred times the bytes of one of 256 pixels, for
    which the defaults of `streams`, `window` and `chunk` are made.
    """
    opened = streams * window * chunk
    fits = int(opened * (limit - (needed - held)) / held) if held else 0
    what = (
        f"{needed:,} bytes of open samples and batches, memory_limit is {limit:,}; "
        f"streams {streams} x window {window} x chunk {chunk} are {opened:,} open samples of all ranks, "
        f"{held:,.0f} bytes on this one"
    )
    lower = (
        f"lower streams, window or chunk: a product of {fits:,} fits"
        if fits > 0
        else "lower chunk, streams and batch_size"
    )
    return ConfigError(what, "loader", f"set memory_limit to {needed:,}, or {lower}")
