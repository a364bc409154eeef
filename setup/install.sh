#!/usr/bin/env bash
# Makes the virtual environment: headers, lock, pillow-simd with AVX2 where the processor has it, the package editable.
# usage: setup/install.sh PYTHON VENV        (called by `make setup`; every step says what it does and stops with a way out)
set -euo pipefail
python=$1 venv=$2
cd "$(dirname "$0")/.."
say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
stop() { printf '\033[1m[setup]\033[0m %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || stop "no $python here: install Python 3.11 or newer, or say make setup PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || stop "$("$python" --version) is too old: tagmill needs 3.11; say make setup PYTHON=python3.11 (or newer)"

# 1. System packages. As root on Debian or Ubuntu they are installed; anybody else is told the one command.
need=()
"$python" -c 'import ensurepip, venv' 2>/dev/null || need+=(python3-venv)
if compiler=$(command -v "${CC:-cc}" || command -v gcc || command -v clang); then
  need+=($(setup/headers.sh "$compiler" "$python"))
fi
# Java is for --engine spark alone: it is installed where that costs nobody a question, and its tests are skipped elsewhere.
if [ ! -x "${JAVA_HOME:+$JAVA_HOME/bin/}java" ] && ! command -v java >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing a Java 17 runtime, for --engine spark"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null; } \
      || say "WARNING: there is no Java 17 to be had here; --engine spark will not run, its tests are skipped"
  else
    say "no Java here: for --engine spark install a Java 17 runtime (Debian: openjdk-17-jre-headless); its tests are skipped"
  fi
fi
if [ ${#need[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${need[*]}"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null \
      || stop "apt-get could not install ${need[*]}: install them and run make setup again"
  elif command -v apt-get >/dev/null; then
    stop "these system packages are missing. Run: sudo apt-get install --no-install-recommends ${need[*]}"
  else
    stop "the headers of these Debian packages are missing; install what your system calls them: ${need[*]}"
  fi
fi

# 2. The lock: pins and hashes. pillow-simd is built apart, without pip's cache, whose wheel may be for another processor.
[ -x "$venv/bin/python" ] || { say "virtual environment in $venv ($("$python" --version))"; "$python" -m venv "$venv"; }
pip=("$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps)
mkdir -p build/setup
awk '/^[a-zA-Z]/ { simd = /^pillow-simd==/ } { print > (simd ? "build/setup/pillow-simd.txt" : "build/setup/rest.txt") }' requirements.lock
say "installing $(grep -c == build/setup/rest.txt) pinned packages (about 5 GB with CUDA; two minutes on a fast line)"
"${pip[@]}" --require-hashes -r build/setup/rest.txt

# 3. The image library. pillow and pillow-simd own the same module, so one of them only.
if [ -n "${compiler:-}" ]; then
  flags=
  if grep -qsw avx2 /proc/cpuinfo; then flags=-mavx2; elif grep -qsw sse4_1 /proc/cpuinfo; then flags=-msse4; fi
  say "compiling pillow-simd ${flags:+with $flags}"
  "$venv/bin/python" -m pip uninstall --quiet --yes pillow 2>/dev/null || true
  CC="$compiler $flags" "${pip[@]}" --require-hashes --no-cache-dir --force-reinstall -r build/setup/pillow-simd.txt
else
  say "WARNING: no C compiler, so plain Pillow is installed: decode + resize + encode of photographs then takes about 1.3 times"
  say "WARNING: as long (bench/pixels.py measures it). For pillow-simd: install gcc, remove $venv, run make setup again"
  "$venv/bin/python" -m pip uninstall --quiet --yes pillow-simd 2>/dev/null || true
  "${pip[@]}" --require-hashes -r setup/pillow.lock
fi

# 4. Azure's emulator, for tests alone: where npm is there, in build/azurite, without root rights.
setup/azurite.sh || say "WARNING: Azurite could not be installed; the tests of az:// that need it are skipped"

# 5. The package itself, and proof that the image library can do what ingest promises: WebP goes missing silently.
"${pip[@]}" --no-build-isolation --editable .
"$venv/bin/python" setup/verify.py
touch "$venv/.installed"
say "ready: make demo, make test, or $venv/bin/tagmill --help"
