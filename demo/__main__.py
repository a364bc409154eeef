"""`python -m tagmill.demo`: the command of `make demo`."""

import sys

import tyro

from tagmill.demo.run import DemoConfig, run
from tagmill.shards.errors import TagmillError

if __name__ == "__main__":  # worker processes import this file again
    try:
        run(tyro.cli(DemoConfig, prog="make demo"))
    except TagmillError as error:
        sys.exit(f"demo: {error}")
