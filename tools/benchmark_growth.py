"""How time and peak memory of `detect bench` grow with the image's size, the number of queries and the threads.

benchmark_peers.py runs it; by itself:

    python tools/benchmark_growth.py growth.json growth.svg

draws the picture again. Random weights on ResNet-50. Around one point, the size, 300 queries and the threads that were asked for,
one of the three varies at a time: sizes from 0.4 to 2.5 times the sides (320x533 to 2000x3332 around 800x1333); 100, 300 and 900
queries, which are models of their own; and one thread to as many as there are processors. Every point is measured once a round,
in a new process: one run that is not counted, one that is.

growth.json: the conditions, and for each point in "points" its "size" [height, width], "queries", "threads", "precision", the
seconds of its network in each round, their median, and the largest peak memory of its process in bytes; or its "error". The peak
includes bench's noise image of twice the sides. growth.svg shows the medians. Versions: requirements.txt (matplotlib 3.11.2).
"""

import json
import os
import statistics
import sys
import time

from benchmark_processes import (
    DETECT_PRECISIONS, Failure, converted, counted, log, measured, peer_command, processor, processors)

SCALES = (0.4, 0.6, 0.8, 1, 1.5, 2, 2.5)
QUERIES = (100, 300, 900)
BASE_QUERIES = 300
COLORS = {"f32": "#1f5fa8", "bf16": "#d2601a", "int8": "#2b8a57"}


def bench(detect, weights, precision, size, threads):
    """The command line of `detect bench` that measures one run after one that is not counted, and prints JSON."""
    return [
        detect, "bench", "--weights", weights, "--precision", precision, "--threads", str(threads),
        "--size", "{}x{}".format(*size), "--runs", "1", "--json"]


def thread_counts(count):
    """All of 1...count up to eight; beyond, the powers of two below `count`, and `count`."""
    if count <= 8:
        return list(range(1, count + 1))
    return [2 ** power for power in range(count.bit_length()) if 2 ** power < count] + [count]


def points(size, threads):
    """What is measured, without repetition: one of size, queries and threads varies at a time."""
    sizes = [(round(scale * size[0]), int(scale * size[1])) for scale in SCALES]
    cases = [(each, BASE_QUERIES, threads) for each in sizes]
    cases += [(size, each, threads) for each in QUERIES]
    cases += [(size, BASE_QUERIES, each) for each in thread_counts(processors())]
    return [
        {"size": list(case[0]), "queries": case[1], "threads": case[2], "precision": precision, "network_seconds": [],
         "peak_memory_bytes": 0}
        for case in dict.fromkeys(cases) for precision in DETECT_PRECISIONS]


def measure(detect, weights, point):
    """Adds one process's figures to the point."""
    try:
        _, _, output = measured(
            bench(detect, weights[point["queries"], point["precision"]], point["precision"], point["size"], point["threads"]))
    except Failure as error:
        point.update(error=str(error), details=error.details)
        log(f"  {describe(point)} fails: {error}")
        return
    result = json.loads(output)
    point["network_seconds"].append(result["median_ms"]["network"] / 1000)
    point["median_seconds"] = statistics.median(point["network_seconds"])
    point["peak_memory_bytes"] = max(point["peak_memory_bytes"], result["peak_memory_bytes"])
    log(f"  {describe(point)}: {point['network_seconds'][-1]:.3f} s, {result['peak_memory_bytes'] / 1e9:.2f} GB")


def describe(point):
    height, width = point["size"]
    return f"{height}x{width}, {point['queries']} queries, {counted(point['threads'], 'thread')}, {point['precision']}"


def run(options, folder, output):
    """Measures and draws into the folder `output`. options: those of benchmark_peers.py; folder: for the models."""
    weights = {}
    try:
        measured(peer_command("prepare", "inputs", "--folder", folder, "--size", "{}x{}".format(*options.size)))
        for queries in QUERIES:
            log(f"preparing {queries} queries")
            models = os.path.join(folder, str(queries))
            os.makedirs(models)
            measured(peer_command("prepare", "weights", "--folder", models, "--queries", queries))
            for precision in DETECT_PRECISIONS:
                weights[queries, precision] = converted(
                    options.detect, folder, os.path.join(models, "checkpoint.pth"), precision)
    except Failure as error:
        raise SystemExit(f"cannot prepare the models: {error}\n{error.details}") from error
    report = {
        "date": time.strftime("%Y-%m-%d"), "model": "base, ResNet-50", "size": list(options.size), "queries": BASE_QUERIES,
        "threads": options.threads, "processors": processors(), "processor": processor(),
        "load_average_before": os.getloadavg(), "rounds_done": 0, "points": points(options.size, options.threads)}
    for number in range(1, options.rounds + 1):
        log(f"growth, round {number} of {options.rounds}")
        for point in report["points"]:
            if "error" not in point:
                measure(options.detect, weights, point)
        report |= {"rounds_done": number, "load_average_after": os.getloadavg()}
        with open(os.path.join(output, "growth.json"), "w") as file:
            json.dump(report, file, indent=2)
            file.write("\n")
    draw(report, os.path.join(output, "growth.svg"))


# The picture.


def series(report, varied, precision):
    """[(position, label, seconds, bytes)] of the points that have the base's values in all but `varied`."""
    found = []
    for point in report["points"]:
        fixed = [key for key in ("size", "queries", "threads") if key != varied]
        if "error" in point or point["precision"] != precision or any(point[key] != report[key] for key in fixed):
            continue
        value = point[varied]
        # Sizes stand where their number of pixels puts them.
        position, label = (value[0] * value[1], f"{min(value):,}") if varied == "size" else (value, str(value))
        found.append((position, label, point["median_seconds"], point["peak_memory_bytes"]))
    return sorted(found)


def draw(report, path):
    """Small multiples: time above memory, a column for each that varies, a line for each precision."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plot

    plot.rcParams |= {
        "font.size": 10, "axes.edgecolor": "#888888", "axes.spines.top": False, "axes.spines.right": False,
        "svg.hashsalt": "growth"}
    height, width = report["size"]
    columns = {
        "size": "shorter side of the image in pixels,\nspaced by the number of pixels", "queries": "object queries",
        "threads": "threads"}
    kept = {
        "size": f"{report['queries']} queries, {counted(report['threads'], 'thread')}",
        "queries": f"{height}x{width}, {counted(report['threads'], 'thread')}",
        "threads": f"{height}x{width}, {report['queries']} queries"}
    figure, axes = plot.subplots(2, 3, figsize=(11, 6.4), sharex="col", width_ratios=(1.5, 1, 1), facecolor="white")
    for column, varied in enumerate(columns):
        ticks = {}
        for precision in DETECT_PRECISIONS:
            found = series(report, varied, precision)
            ticks |= {position: label for position, label, _, _ in found}
            for row, values in enumerate(([item[2] for item in found], [item[3] / 1e9 for item in found])):
                axis = axes[row][column]
                positions = [item[0] for item in found]
                axis.plot(positions, values, marker="o", markersize=4, color=COLORS[precision], label=precision)
                if found:
                    axis.annotate(
                        f"{values[-1]:.2f}", (positions[-1], values[-1]), (0, 6), textcoords="offset points", ha="center",
                        color=COLORS[precision])
        for row, title in enumerate(("network, seconds", "peak memory, GB")):
            axis = axes[row][column]
            axis.margins(x=0.08)
            if ticks:
                axis.set_ylim(0, 1.15 * axis.dataLim.ymax)
            axis.grid(axis="y", color="#e4e4e4")
            axis.set_axisbelow(True)
            if column == 0:
                axis.set_ylabel(title)
        axes[0][column].set_title(kept[varied], fontsize=10, color="#555555")
        axes[1][column].set_xlabel(columns[varied])
        axes[1][column].set_xticks(*readable(ticks))
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", ncols=len(labels), frameon=False, bbox_to_anchor=(0.99, 0.99))
    figure.suptitle(
        f"detect bench, {report['model']}, {report['processor']}; medians of {counted(report['rounds_done'], 'round')}",
        x=0.01, ha="left", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def readable(ticks):
    """(positions, labels) of those ticks whose labels have room beside each other."""
    kept = []
    for position in sorted(ticks):
        if not kept or position - kept[-1] >= 0.1 * max(ticks):
            kept.append(position)
    return kept, [ticks[position] for position in kept]


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    with open(sys.argv[1]) as file:
        draw(json.load(file), sys.argv[2])


if __name__ == "__main__":
    main()
