"""One training step of the base model beside Hugging Face transformers: time, peak memory, and the same losses.

    python tools/benchmark_training.py .build/release/training-probe [--rounds 5] [--threads 2] [--size 480x640] [--objects 8]
        [--processor-time]

`swift build -c release --product training-probe` builds the probe. A step is forward, the published criterion over all layers,
backward, gradients limited to a norm of 0.1 and AdamW, in float32, batch 1; ResNet-50 of which stem, layer1 and all batch norms are
frozen. Both start from the same random weights and train on the same random image and objects. transformers runs its own model and
criterion in eager PyTorch, with the published weights of costs and losses.

First both take two steps without dropout: their losses and gradient norms must agree, those of the second step after the optimiser's
first. Then come the timed steps, with a dropout of 0.1 wherever the authors have one. PyTorch has one process, which warms up once and
takes one step a round; in turn with it a new probe warms up once and takes three steps, of which the round takes the median. "Peak" is
the largest resident set of the process.

With --processor-time, both count the time that their process spends on processors: with --threads 1, for a machine that is busy
otherwise.

Prints a Markdown table of medians over the rounds; --json also writes all figures. Ends with 1 if losses or norms differ by more than
1e-3 of themselves. Close everything else first.
Versions: requirements.txt.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

import torch
from safetensors.torch import load_file, save_file

from benchmark_attention import answer, memory
from benchmark_processes import processor
from checkpoint_forms import official_state
from deformable_detr_reference import build, smooth_noise

PROBE_STEPS = 3
TOLERANCE = 1e-3
WEIGHTS = {"loss_ce": 2, "loss_bbox": 5, "loss_giou": 2}
FROZEN = ("backbone.model.conv1.", "backbone.model.bn1.", "backbone.model.layer1.")
STAGES = ("forward", "criterion", "backward", "optimizer")


def batch(height, width, objects):
    generator = torch.Generator().manual_seed(5)
    centres, extents = (torch.rand(objects, 2, generator=generator) for _ in range(2))
    return {
        "pixels": smooth_noise(height, width, seed=3).contiguous(),
        "boxes": torch.cat((0.3 + 0.4 * centres, 0.05 + 0.5 * extents), -1),
        "classes": torch.randint(91, (objects,), generator=generator).float()}


# The peer.


def peer(dropout):
    """The model with the same random weights whatever the dropout."""
    return build(
        auxiliary_loss=True, class_cost=2, bbox_cost=5, giou_cost=2, dropout=dropout, activation_dropout=dropout,
        attention_dropout=dropout)


def groups(model):
    """The published parameter groups."""
    backbone, placement, rest = [], [], []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(part in name for part in FROZEN))
        if parameter.requires_grad:
            slow = "reference_points" in name or "sampling_offsets" in name
            (backbone if "backbone." in name else placement if slow else rest).append(parameter)
    return [{"params": rest}, {"params": backbone, "lr": 2e-5}, {"params": placement, "lr": 2e-5}]


def train(model, optimizer, case, clock):
    """One step: the seconds of each stage, the loss and the gradients' norm."""
    times = [clock()]
    criterion = model.loss_function

    def timed_criterion(*arguments, **options):
        start = clock()
        result = criterion(*arguments, **options)
        times.append(clock() - start)
        return result

    model.loss_function = timed_criterion
    labels = [{"class_labels": case["classes"].long(), "boxes": case["boxes"]}]
    output = model(pixel_values=case["pixels"], labels=labels)
    loss = sum(WEIGHTS[key] * value for name, value in output.loss_dict.items() for key in WEIGHTS if name.startswith(key))
    forward_end = clock()
    loss.backward()
    backward_end = clock()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, 0.1)
    optimizer.step()
    optimizer.zero_grad()
    model.loss_function = criterion
    start, criterion_time, end = times[0], times[1], clock()
    seconds = (forward_end - start - criterion_time, criterion_time, backward_end - forward_end, end - backward_end)
    return {"stages": dict(zip(STAGES, seconds)), "seconds": end - start, "loss": loss.item(), "gradient_norm": norm.item()}


def serve(folder, threads, clock):
    """Two steps without dropout, and then one with it for each line on standard input."""
    torch.set_num_threads(threads)
    case = load_file(os.path.join(folder, "batch.safetensors"))
    model = peer(0.1)
    optimizer = torch.optim.AdamW(groups(model), lr=2e-4, weight_decay=1e-4)
    model.eval()
    print(json.dumps({"steps": [train(model, optimizer, case, clock) for _ in range(2)]}), flush=True)
    model.train()
    train(model, optimizer, case, clock)
    for _ in sys.stdin:
        print(json.dumps(train(model, optimizer, case, clock) | {"peak": memory("VmHWM")}), flush=True)


# The measurement.


def clock(options):
    return ["--processor-time"] if options.processor_time else []


def probe(options, folder, *arguments):
    command = [options.probe, os.path.join(folder, "weights.safetensors"), "--batch", os.path.join(folder, "batch.safetensors"),
               "--threads", str(options.threads), *clock(options), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {finished.returncode}: {finished.stderr.strip()}")
    return json.loads(finished.stdout)


def measure(options, folder):
    command = [sys.executable, "-W", "ignore", os.path.abspath(__file__), "--serve", folder, "--threads", str(options.threads),
               *clock(options)]
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        expected = answer(server)["steps"]
        found = probe(options, folder, "--no-dropout", "--steps", "1")
        result = {"agreement": [
            {key: (step[key], found[plural][index]) for key, plural in (("loss", "losses"), ("gradient_norm", "gradient_norms"))}
            for index, step in enumerate(expected)], "pytorch": [], "probe": []}
        for _ in range(options.rounds):
            print("step", file=server.stdin, flush=True)
            result["pytorch"].append(answer(server))
            time.sleep(0.3)  # a pool's threads spin for a moment after their work
            result["probe"].append(probe(options, folder, "--steps", str(PROBE_STEPS)))
            time.sleep(0.3)
        return result
    finally:
        server.kill()
        server.wait()


def median(reports, *keys):
    def value(report):
        for key in keys:
            report = report[key]
        return report

    return statistics.median(map(value, reports))


def show(result):
    torch_reports, reports = result["pytorch"], result["probe"]
    print("| | PyTorch | here | ratio |\n|---|---|---|---|")

    def row(name, expected, found):
        print(f"| {name} | {1000 * expected:.0f} ms | {1000 * found:.0f} ms | {expected / found:.1f} times faster |")

    stages = {stage: median(reports, "stages", stage) for stage in reports[0]["stages"]}
    for stage in STAGES:
        parts = [name for name in stages if name.startswith(stage)] + (["rebuild"] if stage == "forward" else [])
        row(stage, median(torch_reports, "stages", stage), sum(stages[part] for part in parts))
    row("**the whole step**", median(torch_reports, "seconds"), median(reports, "median_seconds"))
    row("the fastest step", min(report["seconds"] for report in torch_reports), min(min(report["seconds"]) for report in reports))
    peaks = max(report["peak"] for report in torch_reports), max(report["peak_memory_bytes"] for report in reports)
    print(f"| peak memory | {peaks[0] / 1e9:.2f} GB | {peaks[1] / 1e9:.2f} GB | {peaks[1] / peaks[0]:.2f} of it |")
    print("\nStages here: " + ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in stages.items()) + "\n")


def agrees(result):
    """Whether losses and norms do; prints them."""
    worst = 0
    for index, step in enumerate(result["agreement"]):
        for key, (expected, found) in step.items():
            difference = abs(expected - found) / abs(expected)
            worst = max(worst, difference if difference == difference else float("inf"))
            print(f"step {index + 1}, {key}: PyTorch {expected:.7g}, here {found:.7g}, off by {difference:.1e}")
    return worst <= TOLERANCE


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probe", nargs="?", help="the built training-probe")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="480x640", help="HxW of the image")
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--json", help="file for all figures")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    if options.serve:
        return serve(options.serve, options.threads, time.process_time if options.processor_time else time.perf_counter)
    if not options.probe or options.rounds < 1:
        parser.error("expected a probe and at least one round")
    options.probe = os.path.abspath(options.probe)
    height, width = map(int, options.size.split("x"))
    versions = {name: version(name) for name in ("torch", "transformers")} | {"python": platform.python_version()}
    print(f"One training step, base ResNet-50, {options.size}, batch 1, f32, {options.threads} threads, {processor()}; medians of"
          f" {options.rounds} rounds; {', '.join(' '.join(pair) for pair in versions.items())}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        save_file({name: tensor.contiguous() for name, tensor in official_state(peer(0)).items()},
                  os.path.join(folder, "weights.safetensors"))
        save_file(batch(height, width, options.objects), os.path.join(folder, "batch.safetensors"))
        result = measure(options, folder)
    show(result)
    if options.json:
        report = {"threads": options.threads, "size": options.size, "objects": options.objects, "processor": processor(),
                  "versions": versions, "load_average": os.getloadavg(), "result": result}
        with open(options.json, "w") as file:
            json.dump(report, file, indent=2)
    if not agrees(result):
        raise SystemExit("\nLosses or gradients differ too much")


if __name__ == "__main__":
    main()
