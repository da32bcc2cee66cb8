"""What benchmark_peers.py writes into the folder of a run: results.json with all figures, table.md for people.

results.json: the measurement's conditions; for each row in "rows" its "label", its "precision", and either "error" (and
"details", the end of what the process said) or "network" and "command", the seconds of each round, "network_memory" and
"command_memory", the largest peaks in bytes, and "logits_difference": the largest absolute difference from PyTorch's f32
logits over the largest of those.
"""

import json
import os
import statistics

from benchmark_processes import counted

HEAD = """\
| | network | detect is faster | whole command | peak memory, network | peak memory, command | logits differ |
|---|---|---|---|---|---|---|
"""
EXPLANATION = """\
"Network" is from normalised pixels to boxes. "Whole command" is a new process from a JPEG to its detections, each with its own
model file. "Peak memory" is the largest resident set of the process that runs the network alone, and of the whole command.
"detect is faster" and the numbers in brackets compare with detect in the same precision: how many times its figure each is.
"Logits differ" is the largest difference from PyTorch's f32 logits over the largest of those; the parameters are random.
"""


def median(row, key):
    """The median seconds of the rounds, or None where there was none."""
    return statistics.median(row[key]) if row.get(key) else None


def times(value, base, text="{:.1f}"):
    """How many times `base` `value` is, or nothing where one of them is missing."""
    return text.format(value / base) if value and base else ""


def cell(text, ratio):
    return f"{text} ({ratio})" if ratio else text


def seconds(value):
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def line(row, base):
    """A row of the table; base: detect's row of the same precision, {} where there is none or it is this row itself."""
    if "error" in row:
        return f"| {row['label']} | failed: {row['error'].replace('|', '/')} | | | | | |"
    network, command = median(row, "network"), median(row, "command")
    faster = times(network, median(base, "network"), "{:.2f} times")
    cells = [row["label"], seconds(network) if network else "", faster]
    cells.append(cell(seconds(command), times(command, median(base, "command"))) if command else "")
    for key in ("network_memory", "command_memory"):
        cells.append(cell(f"{row[key] / 1e9:.2f} GB", times(row[key], base.get(key))) if row[key] else "")
    difference = row.get("logits_difference")
    cells.append("" if difference is None else f"{difference:.1e}")
    return "| " + " | ".join(cells) + " |"


def table(report):
    """The Markdown table with its conditions."""
    rows = report["rows"]
    height, width = report["size"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = []
    for row in rows.values():
        base = {} if row["package"] == "detect" else rows.get(f"detect-{row['precision']}", {})
        lines.append(line(row, base if "error" not in base else {}))
    return (
        f"{report['model']}, one {height}x{width} image; {report['processor']}, {counted(report['threads'], 'thread')} on"
        f" {counted(report['processors'], 'processor')}; medians of {counted(report['rounds_done'], 'interleaved round')};"
        f" {report['date']}, load average before {report['load_average_before'][0]:.2f}.\n\n"
        + HEAD + "\n".join(lines) + "\n\n" + EXPLANATION + f"\nVersions: {versions}.\n")


def write(report, folder):
    """Writes both files; a measurement calls it after every round, so that an interrupted one leaves what it has."""
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump(report, file, indent=2)
        file.write("\n")
    with open(os.path.join(folder, "table.md"), "w") as file:
        file.write(table(report))
