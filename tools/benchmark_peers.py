"""`detect` against OpenVINO and PyTorch: the base model on ResNet-50, one 800x1333 image, f32, in one sitting.

    python tools/benchmark_peers.py .build/release/detect [--rounds 7] [--threads 2] [--json FILE]

Each peer lives in a process of its own and runs once a round, in turn with `detect bench`, so that all see the same machine.
"Network" is from normalised pixels to boxes. "Whole command" is a new process from an image file to its detections:
detect from w.bin, OpenVINO from its own converted model, PyTorch (transformers, eager) from its state dict. "Peak memory"
is the largest resident set of that process. The weights are random; the peers' logits are compared with PyTorch's.

Prints a Markdown table of medians; --json also writes all figures. Close everything else first. Versions: requirements.txt.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import reference_images

HEIGHT, WIDTH = 800, 1333
PEERS = ("pytorch", "openvino")


# The peers, each in its own process.


def pytorch_network(folder, threads):
    import torch

    from deformable_detr_reference import build

    torch.set_num_threads(threads)
    model = build("base", randomised=False)
    model.load_state_dict(torch.load(os.path.join(folder, "pytorch.weights"), mmap=True))

    @torch.inference_mode()
    def network(pixels):
        output = model(pixel_values=torch.from_numpy(pixels))
        return output.logits.numpy(), output.pred_boxes.numpy()

    return network


def openvino_network(folder, threads):
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(os.path.join(folder, "openvino.xml"), "CPU", settings)

    def network(pixels):
        output = compiled([pixels])
        return output[0], output[1]

    return network


def serve(peer, folder, threads):
    """A peer's process: each line on standard input asks for one run; the answer is its seconds and the peak memory."""
    network = {"pytorch": pytorch_network, "openvino": openvino_network}[peer](folder, threads)
    pixels = np.load(os.path.join(folder, "pixels.npy"))
    logits, _ = network(pixels)
    np.save(os.path.join(folder, f"{peer}.npy"), logits)
    for _ in sys.stdin:
        start = time.perf_counter()
        network(pixels)
        seconds = time.perf_counter() - start
        print(json.dumps([seconds, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]), flush=True)


def run_once(peer, folder, threads):
    """The whole command: from the photo to the boxes above 0.5, in pixels."""
    network = {"pytorch": pytorch_network, "openvino": openvino_network}[peer](folder, threads)
    image = reference_images.load(os.path.join(folder, "photo.jpg"))
    logits, boxes = network(reference_images.preprocess(image))
    scores = 1 / (1 + np.exp(-logits[0]))
    best = np.argsort(-scores.ravel())[:100]
    best = best[scores.ravel()[best] > 0.5]
    scale = np.array([image.width, image.height] * 2)
    print(json.dumps([[int(index % scores.shape[1]), (boxes[0, index // scores.shape[1]] * scale).tolist()] for index in best]))


# The measurement.


def prepare(folder, detect):
    """The photo, its pixels, and the same weights for everyone. Returns the versions."""
    script = f"""
import os, torch, openvino, transformers
from deformable_detr_reference import build
from checkpoint_forms import save
class Network(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
    def forward(self, pixels):
        output = self.model(pixel_values=pixels)
        return output.logits, output.pred_boxes
model = build("base", seed=1)
torch.save(model.state_dict(), os.path.join({folder!r}, "pytorch.weights"))
save(model, "official-zip", {folder!r})
shape = [1, 3, {HEIGHT}, {WIDTH}]
converted = openvino.convert_model(Network(model).eval(), example_input=torch.zeros(shape), input=shape)
openvino.save_model(converted, os.path.join({folder!r}, "openvino.xml"), compress_to_fp16=False)
print(torch.__version__, transformers.__version__, openvino.__version__)
"""
    from PIL import Image

    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (25, 42, 3), np.uint8))
    coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(os.path.join(folder, "photo.jpg"), quality=90)
    pixels = reference_images.preprocess(reference_images.load(os.path.join(folder, "photo.jpg")))
    assert pixels.shape == (1, 3, HEIGHT, WIDTH), pixels.shape
    np.save(os.path.join(folder, "pixels.npy"), pixels)
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=os.path.dirname(os.path.abspath(__file__)),
        check=True, stdout=subprocess.PIPE, text=True).stdout
    torch_version, transformers_version, openvino_version = output.splitlines()[-1].split(" ")
    if detect:
        subprocess.run(
            [detect, "convert", os.path.join(folder, "checkpoint.pth"), "--output", os.path.join(folder, "w.bin")], check=True)
    return {"torch": torch_version, "transformers": transformers_version, "openvino": openvino_version,
            "python": platform.python_version()}


def measured(command):
    """(seconds, peak memory in bytes, standard output) of a new process."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        output.seek(0)
        return seconds, 1024 * usage.ru_maxrss, output.read().decode()


def processor():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def measure(options, folder):
    threads = options.threads
    versions = prepare(folder, options.detect)
    script = [sys.executable, "-W", "ignore", os.path.abspath(__file__)]
    arguments = ["--folder", folder, "--threads", str(threads)]
    servers = {
        peer: subprocess.Popen(
            [*script, "--serve", peer, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True) for peer in PEERS}
    names = [*PEERS, "detect"] if options.detect else list(PEERS)
    results = {name: {"network": [], "network_memory": 0, "command": [], "command_memory": 0} for name in names}
    weights = ["--weights", os.path.join(folder, "w.bin"), "--threads", str(threads)]
    bench = {}
    for round_number in range(options.rounds + 1):  # the first warms up
        for name in names:
            if name == "detect":
                _, memory, output = measured(
                    [options.detect, "bench", *weights, "--size", f"{HEIGHT}x{WIDTH}", "--precision", "f32", "--json"])
                bench = json.loads(output)
                seconds = bench["median_ms"]["network"] / 1000
                memory = bench["peak_memory_bytes"]
            else:
                print("run", file=servers[name].stdin, flush=True)
                seconds, memory = json.loads(servers[name].stdout.readline())
            if round_number:
                results[name]["network"].append(seconds)
            results[name]["network_memory"] = max(results[name]["network_memory"], memory)
            time.sleep(0.3)  # a pool's threads spin for a moment after their work
    for server in servers.values():
        server.stdin.close()
        server.wait()
    photo = os.path.join(folder, "photo.jpg")
    for round_number in range(options.rounds + 1):
        for name in names:
            command = [options.detect, photo, *weights, "--no-images", "--format", "json"] if name == "detect" else [
                *script, "--once", name, *arguments]
            seconds, memory, _ = measured(command)
            if round_number:
                results[name]["command"].append(seconds)
            results[name]["command_memory"] = max(results[name]["command_memory"], memory)
    reference = np.load(os.path.join(folder, "pytorch.npy"))
    for name in names:
        if name == "detect":
            from safetensors.numpy import load_file

            dump = os.path.join(folder, "dump.safetensors")
            measured([options.detect, photo, *weights, "--no-images", "--dump", dump])
            logits = load_file(dump)["logits"]
        else:
            logits = np.load(os.path.join(folder, f"{name}.npy"))
        results[name]["logits_difference"] = float(np.abs(logits - reference).max() / np.abs(reference).max())
    return {
        "model": "base, ResNet-50", "size": [HEIGHT, WIDTH], "precision": "f32", "threads": threads, "rounds": options.rounds,
        "processor": processor(), "versions": versions, "detect_bench": bench, "load_average": os.getloadavg(),
        "results": results}


def table(report):
    versions, results = report["versions"], report["results"]
    labels = {
        "pytorch": f"PyTorch {versions['torch']} eager, transformers {versions['transformers']}",
        "openvino": f"OpenVINO {versions['openvino'].split('-')[0]}", "detect": "detect"}
    fastest = min(statistics.median(result["network"]) for result in results.values())
    lines = [
        f"{report['model']}, {HEIGHT}x{WIDTH}, {report['precision']}, {report['threads']} threads, {report['processor']};"
        f" medians of {report['rounds']} rounds", "",
        "| | network | of the fastest | whole command | peak memory, network | peak memory, command | logits differ |",
        "|---|---|---|---|---|---|---|"]
    for name, result in results.items():
        network, command = (statistics.median(result[key]) for key in ("network", "command"))
        lines.append(
            f"| {labels[name]} | {network:.2f} s | {network / fastest:.2f} | {command:.2f} s |"
            f" {result['network_memory'] / 1e9:.2f} GB | {result['command_memory'] / 1e9:.2f} GB |"
            f" {result['logits_difference']:.1e} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detect", nargs="?", help="the built command; without it only the peers are measured")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="file for all figures")
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--once", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    if options.serve:
        serve(options.serve, options.folder, options.threads)
    elif options.once:
        run_once(options.once, options.folder, options.threads)
    else:
        options.detect = os.path.abspath(options.detect) if options.detect else None
        with tempfile.TemporaryDirectory() as folder:
            report = measure(options, folder)
        print(table(report))
        if options.json:
            with open(options.json, "w") as file:
                json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
