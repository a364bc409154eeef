#!/usr/bin/env bash
# Renews requirements.lock from requirements.in: pins and hashes for every supported Python, no addresses.
# usage: setup/requirements.sh [--upgrade]      (without --upgrade, pins that are there stay)
# pillow is left out on purpose: pillow-simd is the same module. setup/pillow.lock is for machines without a compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv build/lock && build/lock/bin/pip install --quiet uv
lock=(build/lock/bin/uv pip compile --quiet "$@" --generate-hashes --universal --python-version 3.11
  --no-emit-index-url --no-annotate --no-header)
"${lock[@]}" --no-emit-package pillow requirements.in -o requirements.lock
printf "pillow==%s\n" "$(sed -n "s/^pillow-simd==\([0-9.]*\)\.post.*/\1/p" requirements.lock)" | "${lock[@]}" - -o setup/pillow.lock
