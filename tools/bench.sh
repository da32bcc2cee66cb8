#!/bin/sh
# Measures `detect` beside OpenVINO and PyTorch, in a Python environment of its own that is made once (several gigabytes).
set -eu
cd "$(dirname "$0")/.."

environment=.build/bench-environment
if [ ! -x "$environment/bin/python" ] || [ tools/requirements.txt -nt "$environment/installed" ]; then
    python3 -m venv "$environment" || {
        echo "Python with venv is needed: apt-get install python3-venv" >&2
        exit 1
    }
    "$environment/bin/pip" install --quiet --requirement tools/requirements.txt
    touch "$environment/installed"
fi
exec "$environment/bin/python" tools/benchmark_peers.py .build/release/detect "$@"
