"""The attention modules against PyTorch: deformable-attention's README examples, and Deformable DETR's encoder at 800x1333.

    python tools/benchmark_attention.py .build/release/attention-probe [--rounds 5] [--threads 2] [--backward] [--only 1-D,2-D]

`swift build -c release --product attention-probe` builds the probe. Each case has random parameters and inputs, the same for both.
PyTorch has a process of its own for each case, warms up once and runs once a round; in turn with it a new probe warms up once and
runs three times, of which the round takes the median. "Peak" is the largest resident set of the process, "above idle" what of it
came after library, weights and inputs were in memory. "Sampling" is the encoder's attention without its four linear projections.

With --backward, a run is forward and backward, with gradients of all inputs and parameters; without it PyTorch keeps none. A case
for which PyTorch finds no memory is left out, and said to be.

Prints a Markdown table of medians; --json also writes all figures. Outputs differ by the largest difference over the largest
element. Gradients differ by norm of the difference over norm; one that cancels to less than a hundredth of the largest norm is
measured by that hundredth. Of millions of samples a few lie within 1e-5 pixels of a kink of the interpolation, and are rounded to
different sides of it: they alone make up to 3e-3 of the norm (the others 3e-6, against float64); the golden tests have no such
samples. Ends with 1 if outputs differ by more than 1e-4 or gradients by more than 1e-2. Close everything else first.
Versions: requirements.txt.
"""

import argparse
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

import torch
from safetensors.torch import load_file, save_file

import golden_grid_attention
from benchmark_processes import processor

LEVELS = ((100, 167), (50, 84), (25, 42), (13, 21))  # of an 800x1333 image: strides 8, 16, 32, 64
WIDTH, HEADS, POINTS = 256, 8, 4
PROBE_RUNS = 3
OUTPUT_TOLERANCE, GRADIENT_TOLERANCE, CANCELLED = 1e-4, 1e-2, 1e-2

GRIDS = {
    "1-D": golden_grid_attention.Case("", (512,), 4, 6, 2, dim=128, dim_head=64, heads=8),
    "2-D": golden_grid_attention.Case("", (64, 64), 4, 6, 4, dim=512, dim_head=64, heads=8),
    "3-D": golden_grid_attention.Case("", (10, 32, 32), (2, 8, 8), (4, 10, 10), (2.0, 8.0, 8.0), dim=512, dim_head=64, heads=8),
}
NAMES = [*GRIDS, "multi-scale", "sampling"]


# The cases, as files that both sides read.


def make(name, path):
    generator = torch.Generator().manual_seed(NAMES.index(name))
    make_case = make_grid if name in GRIDS else make_encoder
    tensors, configuration = make_case(name, generator)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path,
              metadata={"configuration": json.dumps(configuration)})


def make_grid(name, generator):
    case = GRIDS[name]
    shape = (1, *case.size, case.dim)
    tensors = {key: tensor.float() for key, tensor in golden_grid_attention.build(case, generator).state_dict().items()}
    # With the golden cases' queries, PyTorch in float32 is 5e-5 off its own float64 (2-D, 32x32): too far, too sharp.
    tensors["to_q.weight"] *= 0.5
    tensors |= {key: torch.randn(shape, generator=generator) for key in ("input", "output_gradient")}
    return tensors, case.configuration()


def make_encoder(name, generator):
    """Each location asks: the reference points are the centres of all pixels, the same in every level."""

    def normal(*shape, scale=1.0):
        return torch.randn(shape, generator=generator) * scale

    centres = [
        torch.stack(torch.meshgrid((torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height, indexing="xy"), -1)
        for height, width in LEVELS]
    references = torch.cat([level.reshape(-1, 2) for level in centres])
    count, samples = len(references), HEADS * len(LEVELS) * POINTS
    # The authors' initialisation: point k of a head k + 1 pixels away, each head in a direction of its own.
    angles = torch.arange(HEADS) * (2 * math.pi / HEADS)
    directions = torch.stack((angles.cos(), angles.sin()), -1)
    directions = directions / directions.abs().amax(-1, keepdim=True)
    offsets = (directions[:, None, None] * torch.arange(1, POINTS + 1)[:, None]).expand(HEADS, len(LEVELS), POINTS, 2).flatten()
    tensors = {
        "value": normal(1, count, WIDTH), "reference_points": references[None, :, None].expand(1, count, len(LEVELS), 2),
        "output_gradient": normal(1, count, WIDTH)}
    configuration = {"d_model": WIDTH, "heads": HEADS, "points": POINTS, "level_sizes": LEVELS}
    if name == "sampling":
        moved = offsets + normal(1, count, 2 * samples)
        tensors["projections"] = torch.cat((moved, normal(1, count, samples)), -1)
        return tensors, {"module": "MultiScaleDeformableAttention"} | configuration
    tensors["query"] = normal(1, count, WIDTH)
    rows_of = {"sampling_offsets": 2 * samples, "attention_weights": samples, "value_proj": WIDTH, "output_proj": WIDTH}
    for layer, rows in rows_of.items():
        tensors[f"{layer}.weight"] = normal(rows, WIDTH, scale=WIDTH**-0.5)
        tensors[f"{layer}.bias"] = offsets if layer == "sampling_offsets" else normal(rows, scale=0.1)
    return tensors, {"module": "DeformableDetrMultiscaleDeformableAttention"} | configuration


# PyTorch, in a process of its own.


def grid_module(name, tensors):
    """(module or None, inputs by name, a function of them to the output): the package's axes are [N, C, n...]."""
    case = GRIDS[name]
    module = getattr(golden_grid_attention.source(case.rank), case.configuration()["module"])(**case.keywords()).eval()
    module.load_state_dict({key: tensors[key] for key in module.state_dict()})
    image = tensors["input"].movedim(-1, 1).contiguous()
    return module, {"input": image}, module


def encoder_module(name, tensors):
    from transformers import DeformableDetrConfig
    from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrMultiscaleDeformableAttention

    shapes = torch.tensor(LEVELS)
    starts = torch.cat((shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]))
    config = DeformableDetrConfig(d_model=WIDTH, num_feature_levels=len(LEVELS))
    module = DeformableDetrMultiscaleDeformableAttention(config, num_heads=HEADS, n_points=POINTS).eval()
    if name == "sampling":

        def sample(value, projections, reference_points):
            count, samples = projections.shape[1], HEADS * len(LEVELS) * POINTS
            offsets = projections[..., : 2 * samples].view(1, count, HEADS, len(LEVELS), POINTS, 2)
            weights = projections[..., 2 * samples :].view(1, count, HEADS, -1).softmax(-1)
            locations = reference_points[:, :, None, :, None] + offsets / shapes.flip(-1)[:, None]
            return module.attn(
                value.view(1, -1, HEADS, WIDTH // HEADS), shapes, LEVELS, starts, locations,
                weights.view(1, count, HEADS, len(LEVELS), POINTS), 64)

        return None, {key: tensors[key] for key in ("value", "projections", "reference_points")}, sample

    module.load_state_dict({key: tensors[key] for key in module.state_dict()})

    def attend(query, value, reference_points):
        return module(
            hidden_states=query, encoder_hidden_states=value, reference_points=reference_points, spatial_shapes=shapes,
            spatial_shapes_list=LEVELS, level_start_index=starts)[0]

    return module, {key: tensors[key] for key in ("query", "value", "reference_points")}, attend


def channels_last(name, tensor):
    return tensor.movedim(1, -1) if name in GRIDS else tensor


def memory(field):
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(field + ":"))


def limit_memory():
    """Ends an allocation that the machine has no memory for with an error, before the system ends the process."""
    with open("/proc/meminfo") as file:
        available = next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    limit = memory("VmSize") + int(0.95 * available)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def serve(name, folder, threads, backward):
    """Each line on standard input asks for one run; the answer is its seconds and the peak memory. The end saves the results."""
    torch.set_num_threads(threads)
    tensors = load_file(os.path.join(folder, f"{name}.safetensors"))
    module, inputs, function = (grid_module if name in GRIDS else encoder_module)(name, tensors)
    gradient = tensors["output_gradient"]
    gradient = gradient.movedim(-1, 1).contiguous() if name in GRIDS else gradient
    del tensors
    parameters = dict(module.named_parameters()) if module else {}
    leaves = {**inputs, **parameters}
    for leaf in leaves.values():
        leaf.requires_grad_(backward)

    def run():
        for leaf in leaves.values():
            leaf.grad = None
        output = function(**inputs) if name not in GRIDS else function(inputs["input"])
        if backward:
            output.backward(gradient)
        return output.detach()

    limit_memory()
    idle = memory("VmRSS")
    try:
        with torch.set_grad_enabled(backward):
            output = run()
            print(json.dumps({"idle": idle}), flush=True)
            for _ in sys.stdin:
                output = None
                start = time.perf_counter()
                output = run()
                print(json.dumps({"seconds": time.perf_counter() - start, "peak": memory("VmHWM")}), flush=True)
    except (RuntimeError, MemoryError) as error:
        print(json.dumps({"error": str(error).splitlines()[0]}), flush=True)
        return
    results = {"output": channels_last(name, output)}
    if backward:
        results |= {f"gradient.{key}": channels_last(name, tensor.grad) for key, tensor in inputs.items()}
        results |= {f"gradient.{key}": parameter.grad for key, parameter in parameters.items()}
    save_file({key: tensor.contiguous() for key, tensor in results.items()}, os.path.join(folder, f"{name}.pytorch"))


# The measurement.


class NoResult(Exception):
    """PyTorch could not do it."""


def answer(server):
    line = server.stdout.readline()
    if not line:
        status = server.wait()
        raise NoResult(f"ended by signal {-status}, as when memory runs out" if status < 0 else f"ended with status {status}")
    reply = json.loads(line)
    if "error" in reply:
        raise NoResult(reply["error"])
    return reply


def probe(options, case, output):
    command = [options.probe, case, output, "--runs", str(PROBE_RUNS), "--threads", str(options.threads)]
    if options.backward:
        command.append("--backward")
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {finished.returncode}: {finished.stderr.strip()}")
    return json.loads(finished.stdout)


def measure(name, options, folder):
    case, output = (os.path.join(folder, f"{name}.{suffix}") for suffix in ("safetensors", "probe"))
    make(name, case)
    command = [sys.executable, "-W", "ignore", os.path.abspath(__file__), "--serve", name, "--folder", folder,
               "--threads", str(options.threads), *(["--backward"] if options.backward else [])]
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        result = {"pytorch": {"seconds": [], "peak": 0, "idle": answer(server)["idle"]},
                  "probe": {"seconds": [], "peak": 0, "idle": 0}}
        for _ in range(options.rounds):
            print("run", file=server.stdin, flush=True)
            reply = answer(server)
            result["pytorch"]["seconds"].append(reply["seconds"])
            result["pytorch"]["peak"] = max(result["pytorch"]["peak"], reply["peak"])
            time.sleep(0.3)  # a pool's threads spin for a moment after their work
            report = probe(options, case, output)
            result["probe"]["seconds"].append(report["median_seconds"])
            result["probe"]["peak"] = max(result["probe"]["peak"], report["peak_memory_bytes"])
            result["probe"]["idle"] = max(result["probe"]["idle"], report["idle_memory_bytes"])
            time.sleep(0.3)
        server.stdin.close()
        if server.wait() != 0:
            raise NoResult(f"ended with status {server.returncode}")
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    return result | compare(os.path.join(folder, f"{name}.pytorch"), output)


def compare(expected_path, found_path):
    """How far the output is off, and the gradient that is off farthest, with its name."""
    expected, found = load_file(expected_path), load_file(found_path)
    if {key: tensor.shape for key, tensor in expected.items()} != {key: tensor.shape for key, tensor in found.items()}:
        raise SystemExit(f"other results: PyTorch's {sorted(expected)}, the probe's {sorted(found)}, or other shapes")

    def finite(difference):
        return difference if math.isfinite(difference) else math.inf

    output = (expected.pop("output"), found["output"])
    norms = {key: tensor.double().norm().item() for key, tensor in expected.items()}
    floor = CANCELLED * max(norms.values(), default=0)
    gradients = [
        (finite((tensor.double() - found[key].double()).norm().item() / max(norms[key], floor)), key)
        for key, tensor in expected.items()]
    return {
        "output_difference": finite(((output[0] - output[1]).abs().max() / output[0].abs().max()).item()),
        "gradient_difference": max(gradients, default=None)}


def row(name, result):
    (torch_seconds, seconds), (torch_peak, peak), (torch_idle, idle) = (
        [take(result[side]) for side in ("pytorch", "probe")]
        for take in (lambda side: statistics.median(side["seconds"]), lambda side: side["peak"], lambda side: side["idle"]))

    def size(count):
        return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"

    def ratio(part, whole):
        return f"{part / whole:.3f}" if whole > 0 else "-"

    def duration(seconds):
        return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"

    torch_rise, rise = torch_peak - torch_idle, peak - idle
    differences = f"{result['output_difference']:.1e}"
    if result["gradient_difference"]:
        worst, key = result["gradient_difference"]
        differences += f" | {worst:.1e} ({key.removeprefix('gradient.')})"
    return (f"| {name} | {duration(torch_seconds)} | {duration(seconds)} | {torch_seconds / seconds:.1f} |"
            f" {size(torch_peak)} | {size(peak)} | {ratio(peak, torch_peak)} |"
            f" {size(torch_rise)} | {size(rise)} | {ratio(rise, torch_rise)} | {differences} |")


def agrees(result):
    worst = result["gradient_difference"]
    return result["output_difference"] <= OUTPUT_TOLERANCE and (worst is None or worst[0] <= GRADIENT_TOLERANCE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probe", nargs="?", help="the built attention-probe")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backward", action="store_true")
    parser.add_argument("--only", type=lambda text: text.split(","), default=NAMES, help=f"of {', '.join(NAMES)}")
    parser.add_argument("--json", help="file for all figures")
    parser.add_argument("--serve", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    if options.serve:
        return serve(options.serve, options.folder, options.threads, options.backward)
    if not options.probe or not set(options.only) <= set(NAMES) or options.rounds < 1:
        parser.error(f"expected a probe, at least one round, and cases out of {', '.join(NAMES)}")
    options.probe = os.path.abspath(options.probe)
    versions = {name: version(name) for name in ("torch", "deformable-attention", "transformers")}
    versions["python"] = platform.python_version()
    print(f"{'Forward and backward' if options.backward else 'Forward'}, f32, {options.threads} threads, {processor()}; medians of"
          f" {options.rounds} rounds; {', '.join(' '.join(pair) for pair in versions.items())}\n")
    gradient_columns = (" gradients differ |", "---|") if options.backward else ("", "")
    print("| | PyTorch | here | times faster | peak, PyTorch | here | ratio | above idle, PyTorch | here | ratio | outputs differ |"
          + gradient_columns[0])
    print("|---|---|---|---|---|---|---|---|---|---|---|" + gradient_columns[1], flush=True)
    results, missing = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            try:
                results[name] = measure(name, options, folder)
                print(row(name, results[name]), flush=True)
            except NoResult as reason:
                missing[name] = str(reason)
    for name, reason in missing.items():
        print(f"\n{name} is left out. PyTorch: {reason}")
    if options.json:
        report = {"backward": options.backward, "threads": options.threads, "rounds": options.rounds, "processor": processor(),
                  "versions": versions, "load_average": os.getloadavg(), "results": results, "missing": missing}
        with open(options.json, "w") as file:
            json.dump(report, file, indent=2)
    differing = [name for name, result in results.items() if not agrees(result)]
    if differing:
        raise SystemExit(f"\nResults differ too much: {', '.join(differing)}")


if __name__ == "__main__":
    main()
