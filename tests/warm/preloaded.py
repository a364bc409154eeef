"""Imported for what it does: a process from which others are forked has what tests need, its workers fork their decoders, and
none of them waits for the disk.

Only the first user of multiprocessing's fork server in a process says what it imports. Where one such process runs many test
files, the next user's processes would each import all of theirs again: a second for an ingest, five for a training.
"""

import gc
import os
from importlib import import_module

from tagmill.ingest.workers.process_setup import leave_out_pandas
from tests.warm.decoders import fork_decoders
from tests.warm.disk import leave_out_synchronising

INGEST = (
    *("tagmill.ingest.run", "tagmill.ingest.parts.run", "tagmill.ingest.pack.write_shards"),
    *("tagmill.ingest.views.count", "tagmill.ingest.engines.duckdb"),
)
TRAINING = ("tagmill.cli", "tagmill.train", "tagmill.predict.predict_command", "timm.models")

take_back = leave_out_pandas()  # each worker of an ingest shows that it refuses it
for name in (*INGEST, *(TRAINING if "PYTEST_XDIST_WORKER" in os.environ else ())):
    import_module(name)
take_back()
fork_decoders()
leave_out_synchronising()
gc.collect()
gc.freeze()  # what is here is never collected in a forked process, which would copy its pages
