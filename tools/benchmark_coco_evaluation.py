"""Times `detect eval` beside pycocotools on the same files, and compares the twelve numbers.

    python tools/benchmark_coco_evaluation.py DETECT [--annotations GT.json --detections DT.json] [--rounds 1]

Without files it makes a dataset of 5,000 images and 80 classes with 100 detections an image. pycocotools is timed in this process:
loading (json and index), evaluate, accumulate. `detect eval` says its own times with --verbose. Rounds alternate; medians. A round
of the made dataset takes pycocotools minutes. Exits with 1 when a number differs by 1e-10 or more. Versions: requirements.txt.
"""

import argparse
import contextlib
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

IMAGES, CLASSES, DETECTIONS = 5000, 80, 100


def make(folder):
    """Objects as rare and as uneven in class as COCO's; detections around them and anywhere."""
    random = numpy.random.default_rng(1)
    share = 1 / numpy.arange(1, CLASSES + 1)
    share /= share.sum()
    annotations, results = [], []
    for image in range(1, IMAGES + 1):
        truths = []
        for category in random.choice(CLASSES, random.poisson(7), p=share):
            size = numpy.exp(random.uniform(2, 6, 2))
            box = [*(random.uniform(0, 500, 2)), *size]
            truths.append((int(category) + 1, box))
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": int(category) + 1,
                "bbox": [round(float(side), 2) for side in box], "area": round(float(size.prod() * 0.7), 2),
                "iscrowd": int(random.random() < 0.01)})
        for _ in range(DETECTIONS):
            if truths and random.random() < 0.3:
                category, box = truths[random.integers(len(truths))]
                box = numpy.array(box) + random.normal(0, 0.08, 4) * numpy.array([box[2], box[3], box[2], box[3]])
            else:
                category = int(random.choice(CLASSES, p=share)) + 1
                box = numpy.array([*random.uniform(0, 500, 2), *numpy.exp(random.uniform(2, 6, 2))])
            results.append({
                "image_id": image, "category_id": category,
                "bbox": [float(numpy.float32(side)) for side in numpy.maximum(box, 1)],
                "score": float(numpy.float32(random.random() ** 3))})
    paths = os.path.join(folder, "annotations.json"), os.path.join(folder, "detections.json")
    truth = {
        "images": [{"id": image, "file_name": f"{image}.jpg", "width": 640, "height": 640}
                   for image in range(1, IMAGES + 1)],
        "categories": [{"id": category, "name": f"class {category}"} for category in range(1, CLASSES + 1)],
        "annotations": annotations}
    for path, content in zip(paths, (truth, results)):
        with open(path, "w") as file:
            json.dump(content, file)
    return paths


def reference(annotations, detections):
    times = {}
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        truth = COCO(annotations)
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        times["load"] = time.perf_counter() - start
        start = time.perf_counter()
        evaluation.evaluate()
        evaluation.accumulate()
        times["evaluate"] = time.perf_counter() - start
        evaluation.summarize()
    return times, evaluation.stats


def ours(command, annotations, detections, threads):
    start = time.perf_counter()
    run = subprocess.run(
        [command, "eval", "--annotations", annotations, "--detections", detections, "--json", "--verbose",
         "--threads", str(threads)], capture_output=True, text=True, check=True)
    times = {"whole command": time.perf_counter() - start}
    times["load"] = sum(float(part) for part in re.findall(r"read in ([\d.]+) ms", run.stderr)) / 1000
    times["evaluate"] = float(re.search(r"evaluated in ([\d.]+) ms", run.stderr)[1]) / 1000
    return times, numpy.array(json.loads(run.stdout)["stats"])


def median(rounds, key):
    return statistics.median(times[key] for times in rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command")
    parser.add_argument("--annotations")
    parser.add_argument("--detections")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = (arguments.annotations, arguments.detections) if arguments.annotations else make(folder)
        print(", ".join(f"{os.path.basename(path)} {os.path.getsize(path) / 1e6:.1f} MB" for path in files))
        measured = {"pycocotools": [], "detect, 1 thread": [], "detect, 2 threads": []}
        for _ in range(arguments.rounds):
            times, expected = reference(*files)
            measured["pycocotools"].append(times)
            for threads in (1, 2):
                times, found = ours(arguments.command, *files, threads)
                measured[f"detect, {threads} thread{'s' * (threads > 1)}"].append(times)
    base = measured["pycocotools"]
    for name, rounds in measured.items():
        load, evaluate = median(rounds, "load"), median(rounds, "evaluate")
        print(f"{name:18} load {load:7.3f} s ({median(base, 'load') / load:5.1f} x)   "
              f"evaluate + accumulate {evaluate:7.3f} s ({median(base, 'evaluate') / evaluate:5.1f} x)")
    difference = numpy.abs(found - expected).max()
    print("AP {:.10f}, AP50 {:.10f}, AP75 {:.10f}, AP small, medium, large {:.10f} {:.10f} {:.10f}, "
          "AR 1, 10, 100 {:.10f} {:.10f} {:.10f}, AR small, medium, large {:.10f} {:.10f} {:.10f}".format(*found))
    print(f"largest difference from pycocotools: {difference:.1e}")
    sys.exit(0 if difference < 1e-10 else 1)


if __name__ == "__main__":
    main()
