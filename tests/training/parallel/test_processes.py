"""Tests what is refused before processes join and data is opened."""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from tagmill.shards import ConfigError
from tagmill.train import train
from tagmill.training.parallel.processes import begin_processes
from tests.training.runs import VIT


def test_synchronised_batch_normalisation_on_a_cpu_is_refused_before_the_corpus_is_opened() -> None:
    config = replace(VIT, sync_batch_norm=True, corpus="nowhere")
    with pytest.raises(ConfigError, match="sync_batch_norm on a CPU: torch has it for GPUs only"):
        train(config)
    with ExitStack() as stack:  # a dry run plans for another machine
        assert begin_processes(replace(config, dry_run=True, processes=4), stack)[0].size == 4
