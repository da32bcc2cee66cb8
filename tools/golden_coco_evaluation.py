"""Writes Tests/COCOTests/Golden/evaluation.json: what pycocotools makes of 200 random datasets.

    python tools/golden_coco_evaluation.py [Tests/COCOTests/Golden]

The datasets are not stored: the Swift test makes the same ones from the same seeds (Tests/COCOTests/RandomDataset.swift). They have
crowds, empty images, classes without objects or detections, tied scores and overlaps, boxes without area or outside the image,
more than 100 detections of a class in an image, and ids of 0 and below. pycocotools takes an annotation with id 0 for one that is
not there when it has been found, so it gets annotation ids from 1; ours begin at 0.

For each dataset: the twelve numbers. For each twentieth one also the whole recall array [T, K, A, M] and precision [R, K] at IoU 0.5
and 0.75 of all areas with 100 detections. Versions: requirements.txt.
"""

import contextlib
import copy
import io
import json
import os
import sys
from importlib.metadata import version

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

DATASETS = 200


class Random:
    """A 64-bit linear congruential generator's upper 32 bits (constants: Knuth's MMIX generator)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 32) % limit


def box(random, side):
    """Quarters of pixels, exact in binary, so that overlaps tie; some boxes have no area, some lie outside the image."""
    width, height = random.below(4 * side) / 4, random.below(4 * side) / 4
    if random.below(20) == 0:
        width = 0.0
    return [random.below(4 * 300) / 4 - 20, random.below(4 * 300) / 4 - 20, width, height]


def near(random, truth):
    """A box that overlaps `truth` well, or is equal to it."""
    reach = 1 + random.below(40)
    return [value + (random.below(2 * reach + 1) - reach) / 4 * (1 if index < 2 else 0.5) if random.below(3) else value
            for index, value in enumerate(truth)]


def dataset(seed):
    random = Random(seed)
    images = [{"id": 3 * index - 3 * random.below(2)} for index in range(0, 2 * (1 + random.below(8)), 2)][::-1]
    categories = [{"id": 2 * index, "name": str(index)} for index in range(1 + random.below(6))][::-1]
    sides = [20, 60, 250]
    annotations, results = [], []
    ties = 1 + random.below(3)
    for image in images:
        for category in categories:
            if random.below(4) == 0:
                continue
            truths = [box(random, sides[random.below(3)]) for _ in range(random.below(6))]
            for truth in truths:
                area = truth[2] * truth[3] * (1, 0.5, 0.25)[random.below(3)]
                annotations.append({
                    "id": len(annotations), "image_id": image["id"], "category_id": category["id"], "bbox": truth,
                    "area": area, "iscrowd": int(random.below(8) == 0)})
            count = 110 + random.below(30) if random.below(40) == 0 else random.below(12)
            for _ in range(count):
                found = near(random, truths[random.below(len(truths))]) if truths and random.below(3) else box(
                    random, sides[random.below(3)])
                found = [found[0], found[1], max(found[2], 0), max(found[3], 0)]
                score = random.below((4, 64, 2**32)[ties - 1]) / 2**32
                results.append({
                    "image_id": image["id"], "category_id": category["id"] if random.below(30) else 99, "bbox": found,
                    "score": score})
    return images, categories, annotations, results


def evaluate(images, categories, annotations, results):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "categories": categories, "annotations": annotations}
        truth.createIndex()
        if results:
            found = truth.loadRes(copy.deepcopy(results))
        else:  # loadRes looks at the first one
            found = COCO()
            found.dataset = {"images": images, "categories": categories, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "Tests", "COCOTests", "Golden")
    folder = sys.argv[1] if len(sys.argv) > 1 else default
    os.makedirs(folder, exist_ok=True)
    statistics, arrays = [], {}
    totals = [0, 0]
    for seed in range(DATASETS):
        images, categories, annotations, results = dataset(seed)
        totals[0] += len(annotations)
        totals[1] += len(results)
        evaluation = evaluate(
            images, categories, [annotation | {"id": annotation["id"] + 1} for annotation in annotations], results)
        statistics.append([float(value) for value in evaluation.stats])
        if seed % 20 == 0:
            precision = evaluation.eval["precision"]
            arrays[str(seed)] = {
                "recall": evaluation.eval["recall"].flatten().tolist(),
                "precision50": precision[0, :, :, 0, 2].flatten().tolist(),
                "precision75": precision[5, :, :, 0, 2].flatten().tolist()}
    print(f"{totals[0]} annotations, {totals[1]} results")
    parameters = evaluation.params
    document = {
        "versions": f"pycocotools {version('pycocotools')}, numpy {numpy.__version__}",
        "overlapThresholds": parameters.iouThrs.tolist(), "recallThresholds": parameters.recThrs.tolist(),
        "statistics": statistics, "arrays": arrays}
    with open(os.path.join(folder, "evaluation.json"), "w") as file:
        json.dump(document, file, separators=(",", ":"))


if __name__ == "__main__":
    main()
