"""`detect` beside OpenVINO, ONNX Runtime and PyTorch on this machine: the base model on ResNet-50, one image, in one sitting.

    python tools/benchmark_peers.py [--detect .build/release/detect] [--size 800x1333] [--rounds 7] [--threads N]
        [--only peers|growth] [--processor SLUG] [--output DIR]

`tools/bench.sh` runs it in a Python environment of its own. It writes into Benchmarks/runs/DATE-PROCESSOR, or DIR:
table.md and results.json, everyone with the same weights and the same image (benchmark_report.py), and growth.svg and
growth.json, detect by size of image, number of queries and threads (benchmark_growth.py).

Each measurement is a process of its own, in turn with all the others in each round, so that all see the same machine. "Network":
the process loads the model, runs once, and then once for the measurement; detect's is `detect bench`, whose image is noise.
"Whole command": a new process from a JPEG to its detections; detect from w.bin, PyTorch from its state dict, the others from what
they were exported to. Before the rounds each runs once, and its logits are compared with PyTorch's in f32. The weights are random
(deformable_detr_reference.py).

A peer that fails, at its import, its export or for want of memory, has a row that says so, and the others go on. Close everything
else first. With --size 256x320 --rounds 1 it takes a few minutes. Prints the table; says what it does on standard error.
Versions: requirements.txt.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import tempfile
import time

import numpy as np
from safetensors import safe_open

import benchmark_growth
import benchmark_report
from benchmark_processes import (
    DETECT_PRECISIONS, Failure, converted, log, measured, peer_command, processor, processors, slug)
from peer_networks import PEERS, PREPARATIONS, REFERENCE

PACKAGES = ("openvino", "nncf", "onnxruntime", "torch", "transformers")


class Measurement:
    """One model, one image, and the rows of the table; `folder` holds the files of all peers while it lasts."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.versions = {"python": platform.python_version()}
        for package in PACKAGES:
            try:
                self.versions[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                self.versions[package] = "(not installed)"
        self.rows = {}
        for precision in DETECT_PRECISIONS:
            self.add(f"detect-{precision}", "detect", f"**detect {precision}**", precision)
        for name, peer in PEERS.items():
            self.add(name, name.partition("-")[0], peer.label.format(**self.versions), peer.precision)

    def add(self, name, package, label, precision):
        self.rows[name] = {
            "label": label, "package": package, "precision": precision, "network": [], "command": [], "network_memory": 0,
            "command_memory": 0}

    def attempt(self, name, work):
        """Does the work of a row that has not failed yet; what fails it, the row keeps."""
        row = self.rows[name]
        if "error" in row:
            return
        try:
            work(row)
        except Failure as error:
            self.fail(name, error)

    def fail(self, name, error):
        self.rows[name].update(error=str(error), details=error.details)
        log(f"  {name} fails: {error}")

    # What a row is measured by.

    def command(self, name, logits=None):
        """A row's command line from the photo to its detections; logits: the file where it leaves them."""
        options, row = self.options, self.rows[name]
        if row["package"] != "detect":
            keep = ["--logits", logits] if logits else []
            return peer_command("command", name, "--folder", self.folder, "--threads", options.threads, *keep)
        keep = ["--dump", logits] if logits else []
        low, high = sorted(options.size)
        return [
            options.detect, os.path.join(self.folder, "photo.jpg"), "--weights", self.weights(row),
            "--threads", str(options.threads), "--size", str(low), "--max-size", str(high), "--no-images", "--format", "json",
            *keep]

    def weights(self, row):
        """The file of a row of detect's."""
        return os.path.join(self.folder, f"{row['precision']}.bin")

    def network(self, name):
        """(seconds, peak memory in bytes) of a row's network alone."""
        options, row = self.options, self.rows[name]
        if row["package"] != "detect":
            _, _, output = measured(peer_command("network", name, "--folder", self.folder, "--threads", options.threads))
            return json.loads(output)
        _, _, output = measured(
            benchmark_growth.bench(options.detect, self.weights(row), row["precision"], options.size, options.threads))
        bench = json.loads(output)
        row["bench"] = bench
        self.versions |= bench["versions"]
        return bench["median_ms"]["network"] / 1000, bench["peak_memory_bytes"]

    # The course.

    def prepare(self):
        """The files of all rows. Without inputs and weights there is nothing to measure; any other failure is its row's."""
        failures = {}
        size = "{}x{}".format(*self.options.size)
        for name in PREPARATIONS:
            log(f"preparing {name}")
            try:
                measured(peer_command("prepare", name, "--folder", self.folder, "--size", size))
            except Failure as error:
                if name in ("inputs", "weights"):
                    raise SystemExit(f"cannot prepare {name}: {error}\n{error.details}") from error
                failures[name] = error
        checkpoint = os.path.join(self.folder, "checkpoint.pth")
        for precision in DETECT_PRECISIONS:
            self.attempt(
                f"detect-{precision}", lambda row: converted(self.options.detect, self.folder, checkpoint, row["precision"]))
        for name, peer in PEERS.items():
            missing = [need for need in peer.needs if need in failures]
            if missing:
                self.fail(name, failures[missing[0]])

    def compare(self):
        """Runs each row's command once, which also warms the system's caches, and compares its logits with the reference's."""
        def logits(name):
            log(f"comparing {name}")
            path = os.path.join(self.folder, f"{name}.npy")
            measured(self.command(name, path))
            if self.rows[name]["package"] != "detect":
                return np.load(path)
            with safe_open(path, "numpy") as file:
                return file.get_tensor("logits")

        reference = []
        self.attempt(REFERENCE, lambda row: reference.append(logits(REFERENCE)))

        def difference(name, row):
            values = logits(name) if name != REFERENCE else reference[0]
            if reference:
                row["logits_difference"] = float(np.abs(values - reference[0]).max() / np.abs(reference[0]).max())

        for name in self.rows:
            self.attempt(name, lambda row: difference(name, row))

    def round(self):
        """Each row's network in turn, then each row's whole command."""
        def network(name, row):
            seconds, memory = self.network(name)
            row["network"].append(seconds)
            row["network_memory"] = max(row["network_memory"], memory)
            log(f"  {name}: network {seconds:.3f} s, {memory / 1e9:.2f} GB")

        def command(name, row):
            seconds, memory, _ = measured(self.command(name))
            row["command"].append(seconds)
            row["command_memory"] = max(row["command_memory"], memory)
            log(f"  {name}: command {seconds:.3f} s, {memory / 1e9:.2f} GB")

        for name in self.rows:
            self.attempt(name, lambda row: network(name, row))
        for name in self.rows:
            self.attempt(name, lambda row: command(name, row))

    def run(self, output):
        options = self.options
        report = {
            "date": time.strftime("%Y-%m-%d"), "model": "base, ResNet-50, 300 queries", "size": options.size,
            "threads": options.threads, "processors": processors(), "processor": processor(), "versions": self.versions,
            "load_average_before": os.getloadavg(), "rounds_done": 0, "rows": self.rows}
        self.prepare()
        self.compare()
        for number in range(1, options.rounds + 1):
            log(f"round {number} of {options.rounds}")
            self.round()
            report |= {"rounds_done": number, "load_average_after": os.getloadavg()}
            benchmark_report.write(report, output)
        print(benchmark_report.table(report))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detect", default=".build/release/detect", help="the built command")
    parser.add_argument("--size", default="800x1333", help="HxW of the image; growth goes from 0.4 to 2.5 times its sides")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=processors(), help="all processors unless told")
    parser.add_argument("--only", choices=("peers", "growth"))
    parser.add_argument("--processor", default=slug(processor()), help="the processor in the folder's name; here: %(default)s")
    parser.add_argument("--output", help="the folder, in place of Benchmarks/runs/DATE-PROCESSOR")
    options = parser.parse_args()
    options.size = tuple(map(int, options.size.split("x")))
    options.detect = os.path.abspath(options.detect)
    if not os.access(options.detect, os.X_OK):
        raise SystemExit(f"{options.detect} is missing: run make build")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    default = os.path.join(root, "Benchmarks", "runs", f"{time.strftime('%Y-%m-%d')}-{options.processor}")
    output = os.path.abspath(options.output or default)
    os.makedirs(output, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "growth":
            Measurement(options, folder).run(output)
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "peers":
            benchmark_growth.run(options, folder, output)
    log(f"wrote {output}")


if __name__ == "__main__":
    main()
