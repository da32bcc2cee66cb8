"""Writes Tests/MatcherTests/Golden/assignments.json: linear assignments as scipy solves them, and costs as torch computes them.

    python tools/golden_assignment.py [Tests/MatcherTests/Golden]

"assignments": {name, rows, columns, costs (row by row, null for +infinity) or, for large ones, "seed" of the generator below,
expected: {rows, columns}}. "matching": logits [Q][C], boxes [Q][4] and targets with the cost matrix of the authors' formula
(models/matcher.py of fundamentalvision/Deformable-DETR) under both presets, in float32. Versions: requirements.txt.
"""

import json
import os
import sys

import numpy as np
import scipy
import torch
from scipy.optimize import linear_sum_assignment
from torchvision.ops import generalized_box_iou


def generated(count, seed):
    """Costs in 0...1 that the Swift test makes too: a 64-bit linear congruential generator's upper 32 bits."""
    state, values = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append((state >> 32) / 2**32)
    return np.array(values)


def assignment(name, costs, seed=None):
    rows, columns = linear_sum_assignment(costs)
    case = {"name": name, "rows": costs.shape[0], "columns": costs.shape[1]}
    if seed is None:
        case["costs"] = [None if np.isinf(cost) else float(cost) for cost in costs.flatten()]
    else:
        case["seed"] = seed
    return case | {"expected": {"rows": rows.tolist(), "columns": columns.tolist()}}


def assignments():
    generator = np.random.default_rng(7)
    random = lambda *shape: generator.normal(size=shape).round(4)
    forbidden = random(6, 8)
    forbidden[generator.random((6, 8)) < 0.5] = np.inf
    np.fill_diagonal(forbidden, 3.0)
    cases = [
        assignment("empty", np.zeros((0, 0))), assignment("no columns", np.zeros((2, 0))),
        assignment("no rows", np.zeros((0, 3))), assignment("one", np.array([[5.0]])),
        assignment("constant", np.ones((4, 6))), assignment("constant tall", np.ones((5, 3))),
        assignment("square", random(7, 7)), assignment("wide", random(5, 9)), assignment("tall", random(11, 4)),
        assignment("ties", generator.integers(0, 3, (9, 9)).astype(float)),
        assignment("ties wide", generator.integers(0, 2, (6, 10)).astype(float)),
        assignment("ties tall", generator.integers(0, 3, (12, 5)).astype(float)),
        assignment("forbidden pairs", forbidden), assignment("forbidden pairs tall", forbidden.T.copy()),
        assignment("huge and tiny", random(6, 6) * 10.0 ** generator.integers(-12, 12, (6, 6))),
    ]
    for rows, columns, seed in ((300, 100, 1), (100, 300, 2), (120, 120, 3), (300, 1, 4)):
        cases.append(assignment(f"{rows} x {columns}", generated(rows * columns, seed).reshape(rows, columns), seed))
    return cases


def corners(boxes):
    return torch.cat((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), 1)


def matching():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(7, 5, generator=generator) * 4
    boxes = torch.rand(7, 4, generator=generator) * torch.tensor([1, 1, 0.6, 0.6])
    target_boxes = torch.rand(4, 4, generator=generator) * torch.tensor([1, 1, 0.6, 0.6])
    labels = torch.tensor([3, 0, 4, 3])
    probability = logits.sigmoid()
    negative = 0.75 * probability**2 * -(1 - probability + 1e-8).log()
    positive = 0.25 * (1 - probability) ** 2 * -(probability + 1e-8).log()
    class_cost = (positive - negative)[:, labels]
    distance = torch.cdist(boxes, target_boxes, p=1)
    overlap = generalized_box_iou(corners(boxes), corners(target_boxes))
    costs = {
        "published": 5 * distance + 2 * class_cost - 2 * overlap,
        "huggingFace": 5 * distance + class_cost - 2 * overlap}
    return {
        "logits": logits.tolist(), "boxes": boxes.tolist(), "targetBoxes": target_boxes.tolist(),
        "targetClasses": labels.tolist(), "overlap": overlap.tolist(),
        "costs": {name: matrix.tolist() for name, matrix in costs.items()}}


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "Tests", "MatcherTests", "Golden")
    folder = sys.argv[1] if len(sys.argv) > 1 else default
    os.makedirs(folder, exist_ok=True)
    document = {
        "versions": f"scipy {scipy.__version__}, numpy {np.__version__}, torch {torch.__version__}",
        "assignments": assignments(), "matching": matching()}
    with open(os.path.join(folder, "assignments.json"), "w") as file:
        json.dump(document, file, indent=None, separators=(",", ":"))


if __name__ == "__main__":
    main()
