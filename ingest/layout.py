"""Every name below `parts/` in an output: the intermediate files, markers and pins of a run that is not committed yet.

A marker says that a stage is complete, and is put after everything that it vouches for. A pin holds what a run began
with, so that a resumed run goes on with the same. All of `parts/` is deleted after the commit, unless `keep_parts` is
set; a row below says when a name goes earlier. Times are those of one output: an extension has a `parts/` of its own,
inside the same output.

PARTS_LAYOUT is the number of what this file says: it goes up where a run of one version cannot go on with the files of
another. Finished corpora do not depend on it.

A takedown that purges keeps its notes in `parts/purge/` (shards/purge.py), which no ingest reads.
"""

import re

PARTS_LAYOUT = 2  # 1 had no number, no `facts_file` and no `heldout_file`

# The number of a partition has six digits, so that names sort by number.
ROWS_PATTERN = re.compile(r"parts/[0-9]{6}/rows\.parquet")  # what `rows_file` returns

# Who is at work in an output that is in a remote store, `Lease`. Written and read by sole_run/lease.py; deleted when the
# run ends. In an output that is a folder there is none: the run locks the folder that it would be in.
RUN_FILE = "parts/run.json"

# Pins, in the order in which they are put.

# What an extension extends, and the flags it fetches under. Written and read by extend/base_corpus.py. Goes with
# `parts/`.
EXTEND_PIN = "parts/extend.json"
# The takedown rules, as `Denylist.json`. Written by filters/pinned.py at each start; read by every worker of parts and
# robots.
TAKEDOWN_PIN = "parts/takedown.json"
# The blocklists, as `Blocklist.data`. Written and read like TAKEDOWN_PIN.
BLOCKLIST_PIN = "parts/blocklist.txt"
# The image stack that the run began with. Written by image_stacks.py; read by it at the next start, and for the report.
STACK_PIN = "parts/stack.json"
# Prefix of one file for each further image stack (--mixed-stack). Written by image_stacks.py; read for the lineage.
MIXED_STACKS = "parts/stack-"
# The stamp of what is being packed. Written by redo.py; each pack worker reads it before it publishes anything. Deleted
# first where flags of packing changed.
PACKING_PIN = "parts/packing.txt"

# Partition: parts/partition.py, parts/known_urls.py.

# `PartitionManifest`: all rows have been partitioned, under this PARTS_LAYOUT. Read by a resumed run, which then skips
# the stage.
PARTITION_MARKER = "parts/dealt.json"
# The input files, with sizes, rows and digests (schema INPUTS of shards/input_table.py). Put before PARTITION_MARKER by
# parts/input_files.py; copied to `manifests/` by commit.py.
INPUTS_FILE = "parts/inputs.parquet"
# How many URLs an extension has already: all `known_file`s are there. Written and read by parts/known_urls.py.
KNOWN_MARKER = "parts/known.json"
# Which URLs a small new list may have, for tasks that look for them. Written and read by extend/known_in_tasks.py.
KNOWN_FILTER = "parts/known.npy"


# Images of Parquet inputs, `image_copies_file`.
COPIES_FOLDER = "parts/images"


def image_copies_file(ordinal: int, row: int) -> str:
    """Images of a Parquet input, one after the other, from a row on. Written by parts/stored_pictures.py before the rows
    that name places in it; read by parts/ranged_reads.py."""
    return f"{COPIES_FOLDER}/{ordinal:06d}-{row:012d}.bin"


def rows_file(part: int) -> str:
    """The rows of a partition. Written by parts/partition.py; read by known_urls and make of parts/, and hosts/origins.py."""
    return f"parts/{part:06d}/rows.parquet"


def known_file(part: int) -> str:
    """URLs of a partition that the extended corpus has; absent where it has none.

    Both sides are parts/known_urls.py.
    """
    return f"parts/{part:06d}/known.parquet"


# Robots: hosts/robots.py. Asked again, and written over, when the answers are older than `robots_max_age`.

ROBOTS_FOLDER = "parts/robots"
ORIGINS_FOLDER = f"{ROBOTS_FOLDER}/origins"
ANSWERS_FOLDER = f"{ROBOTS_FOLDER}/answers"
# The number of hosts of each task: all hosts are found.
HOSTS_MARKER = f"{ROBOTS_FOLDER}/hosts/done.json"
# `Asked` of all tasks: every partition has its answers.
ROBOTS_MARKER = f"{ROBOTS_FOLDER}/done.json"


def origins_file(part: int) -> str:
    """The origins of a partition's URLs. Written by workers of hosts/origins.py; read by the SQL of robots.py there."""
    return f"{ORIGINS_FOLDER}/{part:06d}.parquet"


def hosts_file(task: int) -> str:
    """The origins that a task asks; absent where it has none. Written by hosts/robots.py, or by tasks of hosts_in_tasks.py;
    read by the worker that asks them."""
    return f"{ROBOTS_FOLDER}/hosts/{task:06d}.parquet"


def answers_file(task: int) -> str:
    """The answers of a task's origins. Written by the worker that asked them; read by the SQL of hosts/robots.py."""
    return f"{ANSWERS_FOLDER}/{task:06d}.parquet"


def asked_file(task: int) -> str:
    """The marker of a task, `Asked`. Put after its `answers_file`, by the same worker; read by a resumed run."""
    return f"{ANSWERS_FOLDER}/{task:06d}.json"


def rules_file(part: int) -> str:
    """The answers of a partition's hosts.

    Written by hosts/robots.py; read by fetch/robots_cache.py while it is fetched.
    """
    return f"{ROBOTS_FOLDER}/rules/{part:06d}.parquet"


def long_rules_file(sha256: str) -> str:
    """Rules too long for the tables, once for all hosts that have them. Written and read like `rules_file`."""
    return f"{ROBOTS_FOLDER}/kept/{sha256}.txt"


# Fetch: parts/make.py.


def attempt_file(part: int, attempt: str) -> str:
    """One attempt at a partition: the rows with their JPEGs. Written by parts/make.py; read by pack.

    Goes where another attempt was faster, or where the part is made again under other takedown rules or blocklists.
    """
    return f"parts/{part:06d}/{attempt}.parquet"


def facts_file(part: int, attempt: str) -> str:
    """The columns of an `attempt_file` that set work needs, without JPEGs. Put before it; read by select.

    Goes with it.
    """
    return f"parts/{part:06d}/{attempt}.facts.parquet"


def done_file(part: int) -> str:
    """The marker of a part, `PartSummary`: which attempt counts. Put after both of its files, and only if absent, so the
    first attempt wins.

    Written over, or deleted, by a run whose takedown rules or blocklists have grown. Read by every later stage.
    """
    return f"parts/{part:06d}/done.json"


# Select: dedup/selection.py. Deleted, the marker first, where flags of selection or the parts changed.

SELECTION_FOLDER = "parts/selection"
# `Selected`: the selection of all groups is there, under the stamp in it.
SELECTION_MARKER = f"{SELECTION_FOLDER}/done.json"
# What the stages of a selection leave for the next ones. Deleted once SELECTION_MARKER is there.
SETS_FOLDER = "parts/sets"
# The stamp of what is being selected. Put by dedup/selection.py before anything else of it; a resumed run keeps what is
# below the two folders only if it is the same. Deleted before the rest where it is not.
SELECTING_PIN = f"{SETS_FOLDER}/stamp.txt"


def sets_marker(stage: str) -> str:
    """The marker of a stage of the selection: its tables and its counts. Both sides are dedup/set_stages.py."""
    return f"{SETS_FOLDER}/{stage}.json"


def sets_file(table: str, number: int) -> str:
    """An object of a table of a stage, or of one that Spark cannot read from this machine's disk.

    Written by dedup/set_stages.py or by tasks of the engine; read by the SQL of later stages. Those of `decided` have
    the rows of consecutive pack groups, and are read by dedup/group_selection.py.
    """
    return f"{SETS_FOLDER}/{table}-{number:06d}.parquet"


def selection_file(group: int) -> str:
    """What becomes of each row of a pack group. Written by dedup/group_selection.py; read by pack/write_shards.py."""
    return f"{SELECTION_FOLDER}/{group:06d}.parquet"


# Pack: pack/write_shards.py. Deleted by redo.py where flags of packing or the selection changed.

PACKED_FOLDER = "parts/packed"


def packed_file(label: str) -> str:
    """The marker of a pack group, `PackedGroup`. Put after its shards and side tables; read by a resumed run."""
    return f"{PACKED_FOLDER}/{label}.json"


def heldout_file(label: str) -> str:
    """The held-out rows of a pack group, with their JPEGs; absent where it has none. Put before its `packed_file`.

    Both sides are pack/heldout.py: written while the group is packed, read while the held-out group is.
    """
    return f"{PACKED_FOLDER}/{label}.holdout.parquet"


# Images of Parquet inputs, `pictures_file`.
PICTURES_FOLDER = "parts/pictures"


def pictures_file(label: str) -> str:
    """Small images of rejected rows of a pack group; absent where it has none. Put before its `packed_file`.

    Written by pack/kept_pictures.py; read by it before the commit.
    """
    return f"{PACKED_FOLDER}/{label}.pictures.parquet"


# Label and commit: redo.py, commit.py.

# Manifests and view folders that the run is about to write. Written and read by redo.py, which deletes what a killed
# run left.
LABELLING_FILE = "parts/labelling.json"
# The report of an extension. Written before its commit; becomes `report.json` after it (commit.py).
NEW_REPORT = "parts/report.json"
# The small images for the report of an extension. Like NEW_REPORT; becomes `report/pictures.parquet`.
NEW_PICTURES = "parts/pictures.parquet"
# Put right before the commit: once the corpus is there, `parts/` may be deleted, this file last
# (extend/base_corpus.py).
CLOSING_MARKER = "parts/closing.json"
