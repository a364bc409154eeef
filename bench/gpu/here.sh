#!/bin/sh
# Runs the bench, or a module of bench/gpu by its name, or bench/feed.py, from a copy of the working tree in which nothing is installed.
#   bench/gpu/here.sh [plan|limit|training|variants|feed] [OPTIONS]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$root/build/bench/path"
ln -sfn "$root" "$root/build/bench/path/tagmill"
module=tagmill.bench.gpu
case ${1:-} in
    plan | limit | training | variants) module="$module.$1" && shift ;;
    feed) module=tagmill.bench.feed && shift ;;
esac
PYTHONPATH="$root/build/bench/path${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python3}" -P -m "$module" "$@"
