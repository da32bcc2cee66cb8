#!/bin/sh
# Builds and tests everything with oneDNN 3.2, beside the system's oneDNN 2: a library with GNU's OpenMP and its headers from PyPI, in
# a Python environment of its own, and a build of its own. Options go to `swift test`, such as --filter LayersTests.
set -eu
cd "$(dirname "$0")/.."

environment=.build/onednn-3-environment
if [ ! -e "$environment/lib/libdnnl.so.3" ]; then
    python3 -m venv "$environment" || {
        echo "Python with venv is needed: apt-get install python3-venv" >&2
        exit 1
    }
    "$environment/bin/pip" install --quiet onednn-devel-cpu-gomp==2023.2.0
fi
prefix=$(cd "$environment" && pwd)
export ONEDNN_LIBRARY=:libdnnl.so.3
exec swift test --scratch-path .build/onednn-3 -c release -Xcc "-I$prefix/include" -Xlinker "-L$prefix/lib" \
    -Xlinker -rpath -Xlinker "$prefix/lib" "$@"
