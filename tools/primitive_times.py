"""How much of a network's time oneDNN's primitives take: the room that is left beside the products and convolutions themselves.

    python tools/primitive_times.py [--detect .build/release/detect] [--size 800x1333] [--rounds 3] WEIGHTS...

Runs `detect bench` in turn with and without ONEDNN_VERBOSE=1, which makes oneDNN print each primitive with its milliseconds, and
prints for each file: the network's median without it, the sum of the primitives in a run, and their ratio. Primitives that packed
weights before (reorders) do not count. Products of an encoder's tiles, which have at most 128 rows, run on one thread each while
the others work beside it: they count by their share of the threads. For models of more than 128 queries. No packages are needed;
oneDNN 2.6.
"""

import argparse
import collections
import json
import os
import statistics
import subprocess

RUNS = 4
TILE_ROWS = 128


def bench(detect, weights, size, verbose):
    """(the benchmark's JSON, the lines of oneDNN)."""
    output = subprocess.run(
        [detect, "bench", "--weights", weights, "--size", size, "--runs", str(RUNS), "--json"], check=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ, ONEDNN_VERBOSE="1" if verbose else "0")).stdout
    lines = output.splitlines()
    report = next(line for line in lines if line.startswith("{"))
    return json.loads(report), [line.split(",") for line in lines if line.startswith("onednn_verbose,exec")]


def is_tile(columns):
    """Whether a line is a product of an encoder's tile, such as "128x256:256x1024:128x1024"; the last of a layer has fewer rows."""
    rows = columns[-2].split("x")[0]
    return columns[3] == "matmul" and columns[-2].count("x") == 3 and int(rows) <= TILE_ROWS


def primitives(lines, threads):
    """Milliseconds of a run's primitives, by kind."""
    times = collections.Counter()
    for line in lines:
        if line[3] != "reorder":
            tile = is_tile(line)
            times["tiles" if tile else line[3]] += float(line[-1]) / (RUNS + 1) / (threads if tile else 1)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--detect", default=".build/release/detect", help="the built command")
    parser.add_argument("--size", default="800x1333")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for weights in options.weights:
        networks, sums = [], []
        for _ in range(options.rounds):
            report, _ = bench(options.detect, weights, options.size, verbose=False)
            networks.append(report["median_ms"]["network"])
            times = primitives(bench(options.detect, weights, options.size, verbose=True)[1], report["threads"])
            sums.append(sum(times.values()))
        network, total = statistics.median(networks), statistics.median(sums)
        parts = ", ".join(f"{name} {value:.0f}" for name, value in times.most_common())
        print(f"{weights}, {report['precision']}: network {network:.0f} ms, primitives {total:.0f} ms ({parts}), {network / total:.2f} times")


if __name__ == "__main__":
    main()
