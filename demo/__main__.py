"""`python -m tagmill.demo`: the command of `make demo`."""

import sys

import tyro

from tagmill.demo.run import DemoConfig, run, write_coco
from tagmill.shards.errors import TagmillError

if __name__ == "__main__":  # worker processes import this file again
    try:
        config = tyro.cli(DemoConfig, prog="make demo")
        if config.coco:
            write_coco(config)
        else:
            run(config)
    except TagmillError as error:
        sys.exit(f"demo: {error}")
