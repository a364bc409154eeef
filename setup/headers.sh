#!/usr/bin/env bash
# Prints the Debian packages whose headers a compiler does not find and pillow-simd needs; nothing where all is there.
# usage: setup/headers.sh COMPILER PYTHON
set -uo pipefail
compiler=$1 python=$2
has() { printf '%s\n' "$1" | "$compiler" -E - -o /dev/null 2>/dev/null; }
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
printf '#include <Python.h>\n' | "$compiler" -E -I"$include" - -o /dev/null 2>/dev/null || echo python3-dev
has '#include <stdlib.h>' || echo libc6-dev
has $'#include <stddef.h>\n#include <stdio.h>\n#include <jpeglib.h>' || echo libjpeg-dev
has '#include <zlib.h>' || echo zlib1g-dev
has '#include <webp/decode.h>' || echo libwebp-dev
has '#include <tiffio.h>' || echo libtiff-dev
has '#include <lcms2.h>' || echo liblcms2-dev
# Pillow reads AVIF with libavif 1.0 or newer only; older releases of Debian have none, and then AVIF is left out.
if ! has '#include <avif/avif.h>' && command -v apt-cache >/dev/null; then
  candidate=$(apt-cache policy libavif-dev 2>/dev/null | sed -n 's/^ *Candidate: *//p')
  if [ -n "$candidate" ] && [ "$candidate" != "(none)" ] && dpkg --compare-versions "$candidate" ge 1.0; then echo libavif-dev; fi
fi
exit 0
