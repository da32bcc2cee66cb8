"""Writes Tests/TrainingTests/Golden: losses with gradients, and optimiser runs, as PyTorch computes them.

    python tools/golden_training_losses.py [Tests/TrainingTests/Golden]

losses.safetensors: of each case "NAME/" the float32 inputs `logits.L [N,Q,C]`, `boxes.L [N,Q,4]` of decoder layer L (`enc` for the
proposals), `labels.I [T]` and `truth.I [T,4]` of image I (absent without objects); per preset ("published", "huggingFace") the terms
`PRESET/loss_...` by the published names, `PRESET/total`, and the total's gradients `PRESET/d_logits.L`, `PRESET/d_boxes.L`. Everything
is computed in float64 and stored as float32. "published" is the formula of models/{deformable_detr,matcher,segmentation}.py of
fundamentalvision/Deformable-DETR written out below; "huggingFace" calls transformers' own loss.

optimizer.safetensors: 20 steps of torch.optim.AdamW (float32) with clip_grad_norm_ over three groups, a schedule, and a moving average.
schedules.json: the factors of torch.optim.lr_scheduler's schedules, step by step. Versions: requirements.txt.
"""

import json
import os
import sys
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment
from torch.optim.lr_scheduler import ChainedScheduler, CosineAnnealingLR, LinearLR, MultiStepLR, SequentialLR
from transformers.loss.loss_deformable_detr import DeformableDetrForObjectDetectionLoss

NAMES = ("loss_ce", "loss_bbox", "loss_giou")


# The published formula


def corners(boxes):
    centre, size = boxes.split(2, -1)
    return torch.cat((centre - 0.5 * size, centre + 0.5 * size), -1)


def ratio(numerator, denominator):
    """0 without gradient where the published 0 / 0 would be NaN."""
    safe = torch.where(denominator > 0, denominator, torch.ones_like(denominator))
    return torch.where(denominator > 0, numerator / safe, torch.zeros_like(denominator))


def generalized_iou(first, second):
    """[A,4] and [B,4] corners: [A,B]."""
    area = lambda box: (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    extent = (torch.min(first[:, None, 2:], second[:, 2:]) - torch.max(first[:, None, :2], second[:, :2])).clamp(min=0)
    intersection = extent.prod(-1)
    union = area(first)[:, None] + area(second) - intersection
    extent = (torch.max(first[:, None, 2:], second[:, 2:]) - torch.min(first[:, None, :2], second[:, :2])).clamp(min=0)
    enclosing = extent[..., 0] * extent[..., 1]
    return ratio(intersection, union) - ratio(enclosing - union, enclosing)


@torch.no_grad()
def match(logits, boxes, labels, truth):
    probability = logits.sigmoid()
    negative = 0.75 * probability**2 * -(1 - probability + 1e-8).log()
    positive = 0.25 * (1 - probability) ** 2 * -(probability + 1e-8).log()
    cost = 2 * (positive - negative)[:, labels] + 5 * torch.cdist(boxes, truth, p=1)
    return linear_sum_assignment(cost - 2 * generalized_iou(corners(boxes), corners(truth)))


def published_terms(logits, boxes, targets, count):
    positive = torch.zeros_like(logits)
    distance, overlap = torch.zeros((), dtype=logits.dtype), torch.zeros((), dtype=logits.dtype)
    for image, (labels, truth) in enumerate(targets):
        queries, objects = match(logits[image], boxes[image], labels, truth)
        positive[image, queries, labels[objects]] = 1
        distance = distance + (boxes[image, queries] - truth[objects]).abs().sum()
        if len(queries):
            pairs = generalized_iou(corners(boxes[image, queries]), corners(truth[objects]))
            overlap = overlap + (1 - pairs.diag()).sum()
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, positive, reduction="none")
    right = probability * positive + (1 - probability) * (1 - positive)
    focal = (0.25 * positive + 0.75 * (1 - positive)) * entropy * (1 - right) ** 2
    return dict(zip(NAMES, (focal.sum() / count, distance / count, overlap / count)))


def published(layers, proposals, targets):
    count = max(1, sum(len(labels) for labels, _ in targets))
    terms = {}
    for index, (logits, boxes) in enumerate(layers):
        suffix = "" if index == len(layers) - 1 else f"_{index}"
        found = published_terms(logits, boxes, targets, count)
        terms |= {name + suffix: value for name, value in found.items()}
    if proposals:
        first_class = [(torch.zeros_like(labels), truth) for labels, truth in targets]
        found = published_terms(*proposals, first_class, count)
        terms |= {name + "_enc": value for name, value in found.items()}
    weights = {"loss_ce": 2, "loss_bbox": 5, "loss_giou": 2}
    return terms, sum(weights["_".join(name.split("_")[:2])] * value for name, value in terms.items())


def hugging_face(layers, targets):
    logits, boxes = layers[-1]
    config = SimpleNamespace(
        class_cost=1, bbox_cost=5, giou_cost=2, num_labels=logits.shape[-1], focal_alpha=0.25, auxiliary_loss=False,
        bbox_loss_coefficient=5, giou_loss_coefficient=2)
    labels = [{"class_labels": labels, "boxes": truth} for labels, truth in targets]
    total, terms, _ = DeformableDetrForObjectDetectionLoss(logits, labels, "cpu", boxes, config)
    return terms, total


# Cases


def case(tensors, name, seed, images, queries, classes, counts, layers=2, proposals=0, change=None, both=True):
    generator = torch.Generator().manual_seed(seed)
    random = lambda *shape: torch.rand(*shape, generator=generator)
    boxes = lambda *shape: torch.cat((0.1 + 0.8 * random(*shape, 2), 0.02 + 0.5 * random(*shape, 2)), -1)
    outputs = [
        [torch.randn(images, queries, classes, generator=generator) * 3 - 1, boxes(images, queries)] for _ in range(layers)]
    if proposals:
        outputs.append([torch.randn(images, proposals, classes, generator=generator) * 2 - 3, boxes(images, proposals)])
    targets = [(torch.randint(classes, (count,), generator=generator), boxes(count)) for count in counts]
    if change:
        change(outputs, targets)
    keys = [str(layer) for layer in range(layers)] + (["enc"] if proposals else [])
    for key, (logits, box) in zip(keys, outputs):
        tensors[f"{name}/logits.{key}"], tensors[f"{name}/boxes.{key}"] = logits, box
    for image, (labels, truth) in enumerate(targets):
        if len(labels):
            tensors[f"{name}/labels.{image}"], tensors[f"{name}/truth.{image}"] = labels.float(), truth
    targets = [(labels, truth.double()) for labels, truth in targets]
    for preset in ("published", "huggingFace") if both else ("published",):
        leaves = [[tensor.double().requires_grad_() for tensor in pair] for pair in outputs]
        if preset == "published":
            terms, total = published(leaves[:layers], leaves[layers] if proposals else None, targets)
        else:
            terms, total = hugging_face(leaves[:layers], targets)
        total.backward()
        for term, value in terms.items():
            tensors[f"{name}/{preset}/{term}"] = value.detach().float().reshape(1)
        tensors[f"{name}/{preset}/total"] = total.detach().float().reshape(1)
        for key, pair in zip(keys, leaves):
            for kind, leaf in zip(("logits", "boxes"), pair):
                if leaf.grad is not None:
                    assert leaf.grad.isfinite().all(), (name, preset, kind)
                    tensors[f"{name}/{preset}/d_{kind}.{key}"] = leaf.grad.float()


def extreme(outputs, targets):
    values = torch.tensor([0.0, 1e-8, -1e-8, 15, -15, 60, -60, 87, -90, 110, -110, 1000, -1000, 3e4, -3e4])
    for logits, _ in outputs:
        logits.view(-1)[: 6 * len(values)] = values.repeat(6)


def ties(outputs, targets):
    """Equal predictions; true boxes that share sides, or all, with a prediction."""
    for logits, boxes in outputs:
        logits[:, 1:4] = logits[:, :1]
        boxes[:, 1:4] = boxes[:, :1]
        boxes[0, 0] = torch.tensor([0.5, 0.5, 0.25, 0.25])
        boxes[0, 4] = torch.tensor([0.25, 0.25, 0.25, 0.25])
    targets[0][1][0] = torch.tensor([0.5, 0.5, 0.25, 0.25])
    targets[0][1][1] = torch.tensor([0.25, 0.3125, 0.25, 0.125])
    # Touches the first from the right.
    targets[0][1][2] = torch.tensor([0.75, 0.5, 0.25, 0.25])


def flat(outputs, targets):
    """Boxes without width, height or both, apart and on each other."""
    for _, boxes in outputs:
        boxes[:, 0, 2], boxes[:, 1, 3], boxes[:, 2, 2:] = 0, 0, 0
    targets[0][1][0] = outputs[-1][1][0, 0]
    targets[0][1][1] = outputs[-1][1][0, 1]
    targets[0][1][2] = outputs[-1][1][0, 2]
    targets[0][1][3, 2] = 0


def confident(outputs, targets):
    """A trained model: high logits on the truth, low ones elsewhere."""
    for logits, boxes in outputs:
        logits.sub_(6)
        for image, (labels, truth) in enumerate(targets):
            for index, label in enumerate(labels):
                logits[image, index, label] = 5
                boxes[image, index] = truth[index] + 0.003


def losses():
    tensors = {}
    add = lambda *arguments, **options: case(tensors, *arguments, **options)
    add("one", 1, 1, 1, 1, [1], layers=1)
    add("small", 2, 1, 7, 5, [3])
    add("batch", 3, 3, 10, 6, [2, 5, 1])
    add("six layers", 4, 1, 6, 3, [2], layers=6)
    add("an image without objects", 5, 3, 6, 4, [2, 0, 3])
    add("no objects", 6, 2, 6, 4, [0, 0], both=False)
    add("more objects than queries", 7, 2, 4, 5, [9, 6])
    add("as many objects as queries", 8, 1, 5, 3, [5])
    add("extreme logits", 9, 1, 12, 17, [5], change=extreme)
    add("ties", 10, 1, 8, 3, [4], change=ties)
    add("flat boxes", 11, 1, 6, 4, [4], change=flat, both=False)
    add("confident", 12, 2, 9, 7, [3, 4], change=confident)
    add("two-stage", 13, 2, 6, 5, [3, 2], proposals=40)
    add("two-stage, no objects", 14, 1, 5, 3, [0], proposals=17, both=False)
    add("91 classes", 15, 1, 13, 91, [6], layers=1)
    add("wide", 16, 1, 70, 33, [20], layers=1)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


# The optimiser

STEPS = 20
PARAMETERS = {
    "backbone.0.body.layer3.0.conv1.weight": (3, 2, 3, 3), "transformer.reference_points.weight": (2, 5),
    "transformer.encoder.layers.0.linear1.weight": (7, 33), "class_embed.0.bias": (19,),
}
FROZEN = {"backbone.0.body.conv1.weight": (2, 3, 7, 7)}


def optimizer():
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    parameters, average = {}, {}
    for name, shape in (PARAMETERS | FROZEN).items():
        tensors[f"initial/{name}"] = torch.randn(shape, generator=generator)
        parameters[name] = tensors[f"initial/{name}"].clone().requires_grad_(name in PARAMETERS)
        average[name] = tensors[f"initial/{name}"].clone()
    groups = [
        {"params": [parameters["backbone.0.body.layer3.0.conv1.weight"]], "lr": 2e-5},
        {"params": [parameters["transformer.reference_points.weight"]], "lr": 2e-5},
        {"params": [parameters[name] for name in list(PARAMETERS)[2:]], "lr": 2e-4}]
    adam = torch.optim.AdamW(groups, weight_decay=1e-4, foreach=False)
    schedule = ChainedScheduler(
        [LinearLR(adam, start_factor=0.1, total_iters=4), MultiStepLR(adam, milestones=[10, 15], gamma=0.1)], adam)
    norms = []
    for step in range(STEPS):
        # Some steps stay below the limit of the norm.
        scale = 1e-3 if step % 3 == 0 else 10.0 ** (step % 5 - 2)
        for name, shape in PARAMETERS.items():
            gradient = torch.randn(shape, generator=generator) * scale
            tensors[f"gradient.{step}/{name}"] = gradient
            parameters[name].grad = gradient.clone()
        norms.append(torch.nn.utils.clip_grad_norm_([parameters[name] for name in PARAMETERS], 0.1))
        adam.step()
        schedule.step()
        kept = min(0.9, (1 + step) / (10 + step))
        for name, parameter in parameters.items():
            average[name].lerp_(parameter.detach(), 1 - kept)
        if step in (0, STEPS - 1):
            for name in parameters:
                tensors[f"after.{step}/{name}"] = parameters[name].detach().clone()
                tensors[f"average.{step}/{name}"] = average[name].clone()
    tensors["norms"] = torch.stack(norms)
    return tensors


def schedules():
    def factors(make, steps=40):
        adam = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule, found = make(adam), []
        for _ in range(steps):
            found.append(adam.param_groups[0]["lr"])
            adam.step()
            schedule.step()
        return found

    warm = lambda adam: LinearLR(adam, start_factor=0.001, total_iters=8)
    return {
        "warm-up": factors(warm),
        "steps": factors(lambda adam: ChainedScheduler([warm(adam), MultiStepLR(adam, [5, 20, 30], gamma=0.3)], adam)),
        "cosine": factors(lambda adam: CosineAnnealingLR(adam, T_max=32, eta_min=0.05), 33),
        "warm-up, cosine": factors(lambda adam: SequentialLR(
            adam, [warm(adam), CosineAnnealingLR(adam, T_max=31, eta_min=0.01)], milestones=[8])),
    }


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "Tests", "TrainingTests", "Golden")
    folder = sys.argv[1] if len(sys.argv) > 1 else default
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    save_file(losses(), os.path.join(folder, "losses.safetensors"))
    save_file(optimizer(), os.path.join(folder, "optimizer.safetensors"))
    with open(os.path.join(folder, "schedules.json"), "w") as file:
        json.dump(schedules(), file, indent=None, separators=(",", ":"))


if __name__ == "__main__":
    main()
