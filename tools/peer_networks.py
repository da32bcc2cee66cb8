"""The peers' own processes in benchmark_peers.py: PyTorch, OpenVINO and ONNX Runtime with the same weights and image.

    python tools/peer_networks.py prepare inputs|weights|openvino|openvino-int8|onnxruntime --folder FOLDER [--size 800x1333]
        [--queries 300]
    python tools/peer_networks.py network PEER --folder FOLDER [--threads N] [--runs 1]
    python tools/peer_networks.py command PEER --folder FOLDER [--threads N] [--logits FILE]

`prepare` makes files in FOLDER: `inputs` the photo, its pixels and the photos for calibration, `weights` the base model with
random parameters, the others their peer's model from it. `network` prints the median seconds of --runs runs from normalised
pixels to boxes, after one that is not counted, and the process's peak memory in bytes: [seconds, bytes]. `command` goes from the
photo to the boxes above 0.5 in its pixels, and prints those; --logits also keeps the logits, [1, queries, classes], as .npy.

PEERS are the peers by name. Each imports its library in a process of its own, so none pays for another. Versions:
requirements.txt (torch 2.15.0, transformers 5.23.0, openvino 2026.4.1, nncf 3.4.0, onnxruntime 1.31.1).
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import time

import numpy as np

import reference_images
from benchmark_processes import processors

CALIBRATION_PHOTOS = 4


# The files.


def photo(path, height, width, seed):
    """A JPEG of smooth random colours."""
    from PIL import Image

    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (25, 42, 3), np.uint8))
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=90)


def pixels(path):
    """[1, 3, H, W]: the photo's normalised pixels in its own size."""
    image = reference_images.load(path)
    return reference_images.preprocess(image, min(image.size), max(image.size))


def prepare_inputs(folder, size, queries):
    photo(os.path.join(folder, "photo.jpg"), *size, seed=0)
    np.save(os.path.join(folder, "pixels.npy"), pixels(os.path.join(folder, "photo.jpg")))
    os.makedirs(os.path.join(folder, "calibration"))
    for number in range(1, CALIBRATION_PHOTOS + 1):
        photo(os.path.join(folder, "calibration", f"{number}.jpg"), *size, seed=number)


def prepare_weights(folder, size, queries):
    import torch

    from checkpoint_forms import save
    from deformable_detr_reference import build

    model = build("base", seed=1, num_queries=queries)
    torch.save(model.state_dict(), os.path.join(folder, "pytorch.weights"))
    save(model, "official-zip", folder)  # checkpoint.pth, for detect


def pytorch_model(folder):
    """The model with the folder's weights; its output has logits and pred_boxes."""
    import torch

    from deformable_detr_reference import build

    state = torch.load(os.path.join(folder, "pytorch.weights"), mmap=True)
    model = build("base", randomised=False, num_queries=len(state["model.query_position_embeddings.weight"]))
    model.load_state_dict(state)
    return model


def exported(folder):
    """The model as exporters want it: one tensor in, a tuple out."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, pixels):
            output = self.model(pixel_values=pixels)
            return output.logits, output.pred_boxes

    return Network(pytorch_model(folder)).eval()


def prepare_openvino(folder, size, queries):
    import openvino
    import torch

    shape = [1, 3, *size]
    converted = openvino.convert_model(exported(folder), example_input=torch.zeros(shape), input=shape)
    openvino.save_model(converted, os.path.join(folder, "openvino.xml"), compress_to_fp16=False)


def prepare_openvino_int8(folder, size, queries):
    """NNCF's post-training quantisation with its preset for transformers, calibrated on the folder's photos."""
    import nncf
    import openvino

    photos = sorted(os.listdir(os.path.join(folder, "calibration")))
    images = [pixels(os.path.join(folder, "calibration", name)) for name in photos]
    quantized = nncf.quantize(
        openvino.Core().read_model(os.path.join(folder, "openvino.xml")), nncf.Dataset(images), subset_size=len(images),
        model_type=nncf.ModelType.TRANSFORMER)
    openvino.save_model(quantized, os.path.join(folder, "openvino-int8.xml"), compress_to_fp16=False)


def prepare_onnxruntime(folder, size, queries):
    """By torch.export: what the older exporter writes samples at float64 positions, which ONNX Runtime refuses."""
    import torch

    torch.onnx.export(
        exported(folder), (torch.zeros(1, 3, *size),), os.path.join(folder, "network.onnx"), dynamo=True, verbose=False,
        input_names=["pixels"], output_names=["logits", "boxes"])


# The networks: each function takes the folder and the number of threads, and returns one from pixels to (logits, boxes).


def pytorch_f32(folder, threads, autocast=False):
    import torch

    torch.set_num_threads(threads)
    model = pytorch_model(folder)

    @torch.inference_mode()
    def network(pixels):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            output = model(pixel_values=torch.from_numpy(pixels))
        return output.logits.float().numpy(), output.pred_boxes.float().numpy()

    return network


def pytorch_bf16(folder, threads):
    """torch.autocast, since a model converted to bfloat16 as a whole gives NaN: its grid_sample does, on the CPU."""
    return pytorch_f32(folder, threads, autocast=True)


def openvino_network(file, precision):
    def load(folder, threads):
        import openvino

        settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(os.path.join(folder, file), "CPU", settings)

        def network(pixels):
            output = compiled([pixels])
            return output[0], output[1]

        return network

    return load


def onnxruntime_f32(folder, threads):
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        os.path.join(folder, "network.onnx"), settings, providers=["CPUExecutionProvider"])
    return lambda pixels: tuple(session.run(["logits", "boxes"], {"pixels": pixels}))


@dataclasses.dataclass(frozen=True)
class Peer:
    label: str  # in the table; {package} stands for that package's version
    precision: str  # of detect's that it is compared with
    needs: tuple  # what `prepare` makes for it, besides inputs and weights
    load: object  # one of the functions above


PEERS = {
    "openvino-f32": Peer(
        "OpenVINO {openvino} f32", "f32", ("openvino",), openvino_network("openvino.xml", "f32")),
    "openvino-bf16": Peer(
        "OpenVINO {openvino} bf16", "bf16", ("openvino",), openvino_network("openvino.xml", "bf16")),
    "openvino-int8": Peer(
        "OpenVINO {openvino} int8 (NNCF {nncf}, rest in bf16)", "int8", ("openvino", "openvino-int8"),
        openvino_network("openvino-int8.xml", "bf16")),
    "onnxruntime-f32": Peer(
        "ONNX Runtime {onnxruntime} f32", "f32", ("onnxruntime",), onnxruntime_f32),
    "pytorch-f32": Peer(
        "PyTorch {torch} eager f32 (transformers {transformers})", "f32", (), pytorch_f32),
    "pytorch-bf16": Peer(
        "PyTorch {torch} eager bf16 (autocast)", "bf16", (), pytorch_bf16),
}
REFERENCE = "pytorch-f32"
PREPARATIONS = {
    "inputs": prepare_inputs, "weights": prepare_weights, "openvino": prepare_openvino,
    "openvino-int8": prepare_openvino_int8, "onnxruntime": prepare_onnxruntime}


# The processes.


def run_network(options):
    network = PEERS[options.name].load(options.folder, options.threads)
    values = np.load(os.path.join(options.folder, "pixels.npy"))
    network(values)
    seconds = []
    for _ in range(options.runs):
        start = time.perf_counter()
        network(values)
        seconds.append(time.perf_counter() - start)
    print(json.dumps([statistics.median(seconds), 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))


def run_command(options):
    network = PEERS[options.name].load(options.folder, options.threads)
    image = reference_images.load(os.path.join(options.folder, "photo.jpg"))
    logits, boxes = network(reference_images.preprocess(image, min(image.size), max(image.size)))
    scores = 1 / (1 + np.exp(-logits[0]))
    best = np.argsort(-scores.ravel())[:100]
    best = best[scores.ravel()[best] > 0.5]
    scale = np.array([image.width, image.height] * 2)
    print(json.dumps([[int(index % scores.shape[1]), (boxes[0, index // scores.shape[1]] * scale).tolist()] for index in best]))
    if options.logits:
        np.save(options.logits, logits)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("prepare", "network", "command"))
    parser.add_argument("name", choices=[*PREPARATIONS, *PEERS], help="what to prepare, or the peer")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--size", default="800x1333", help="HxW of the photo, in pixels")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--logits")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    os.environ["CI"] = "true"  # so that OpenVINO and NNCF send no reports about their use
    if options.action == "prepare":
        PREPARATIONS[options.name](options.folder, tuple(map(int, options.size.split("x"))), options.queries)
    else:
        {"network": run_network, "command": run_command}[options.action](options)


if __name__ == "__main__":
    main()
