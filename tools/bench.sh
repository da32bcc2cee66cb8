#!/bin/sh
# Measures `detect` beside OpenVINO, ONNX Runtime and PyTorch, in a Python environment of its own that is made once (several
# gigabytes), into Benchmarks/runs/. Options: those of benchmark_peers.py, such as --rounds 3 or --only growth.
set -eu
cd "$(dirname "$0")/.."

environment=.build/bench-environment
if [ ! -x "$environment/bin/python" ] || [ tools/requirements.txt -nt "$environment/installed" ]; then
    python3 -m venv "$environment" || {
        echo "Python with venv is needed: apt-get install python3-venv" >&2
        exit 1
    }
    echo "installing the peers: several gigabytes, once" >&2
    "$environment/bin/pip" install --quiet --requirement tools/requirements.txt
    touch "$environment/installed"
fi
exec "$environment/bin/python" tools/benchmark_peers.py "$@"
