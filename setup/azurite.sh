#!/usr/bin/env bash
# Installs Azurite, the emulator of Azure's blob service, into build/azurite: tests only; needs Node 20 and npm, no root rights.
# Versions and hashes are those of setup/azurite/package-lock.json. To renew it, change the version in package.json there and run
#   npm install --package-lock-only --ignore-scripts --omit=dev --omit-lockfile-registry-resolved
# usage: setup/azurite.sh        (does nothing where it is installed, or where Node or npm is missing; 1 if it cannot be installed)
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
into=build/azurite lock=setup/azurite/package-lock.json

if ! command -v npm >/dev/null || ! command -v node >/dev/null || [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
  say "no npm with Node 20 or newer here: the tests of Azure's emulator are skipped"
  exit 0
fi
cmp -s "$lock" "$into/installed.json" && exit 0 # written last
say "installing Azurite for the tests of az:// (190 MB, half a minute)"
rm -rf "$into"
mkdir -p "$into"
cp setup/azurite/package.json "$lock" "$into"
# Its packages need no scripts, and those of a package could do anything here.
npm ci --prefix "$into" --ignore-scripts --omit=dev --no-audit --no-fund --silent
cp "$lock" "$into/installed.json"
