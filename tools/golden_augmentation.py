"""Writes augmentation.png and augmentation.json in Tests/TrainingTests/Golden: colours and sizes as the reference draws them.

    python tools/golden_augmentation.py [Tests/TrainingTests/Golden]

augmentation.png: images of one size under each other, first the input, then one a case of augmentation.json's `colors`: what
torchvision.transforms.functional makes of the input as a tensor of bytes.
augmentation.json's `sizes`: for an image and a family of sizes, the mean and the deviation of width and height after the random
resizes and cuts of make_coco_transforms("train") (datasets/coco.py and transforms.py of fundamentalvision/Deformable-DETR, whose
draws are written out below), over 400,000 images. Versions: requirements.txt, torchvision 0.29.2, Pillow 13.0.0.
"""

import json
import os
import random
import sys

import numpy
import torch
import torchvision.transforms.functional as functional
from PIL import Image

WIDTH, HEIGHT = 45, 23  # 1035 pixels: no multiple of a block or a vector


def picture():
    """Noise, all greys, and the corners of the colour cube."""
    generator = numpy.random.default_rng(4)
    pixels = generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=numpy.uint8)
    pixels[0] = numpy.linspace(0, 255, WIDTH).astype(numpy.uint8)[:, None]
    corners = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
    pixels[1, : len(corners)] = corners
    return pixels


CASES = (
    [("brightness", factor) for factor in (0.0, 0.7, 1.6)]
    + [("contrast", factor) for factor in (0.0, 0.45, 1.8)]
    + [("saturation", factor) for factor in (0.0, 0.6, 1.7)]
    + [("hue", turns) for turns in (-0.5, -0.13, 0.07, 0.4, 0.5)]
)


def colors(folder):
    source = picture()
    tensor = torch.from_numpy(source).permute(2, 0, 1)
    results = [source]
    for operation, amount in CASES:
        changed = getattr(functional, f"adjust_{operation}")(tensor, amount)
        results.append(changed.permute(1, 2, 0).numpy())
    Image.fromarray(numpy.concatenate(results)).save(os.path.join(folder, "augmentation.png"), optimize=True)
    return [{"operation": operation, "amount": amount} for operation, amount in CASES]


def resized(width, height, side, longest=None):
    """get_size_with_aspect_ratio of datasets/transforms.py."""
    if longest is not None:
        shorter, longer = float(min(width, height)), float(max(width, height))
        if longer / shorter * side > longest:
            side = int(round(longest * shorter / longer))
    if (width <= height and width == side) or (height <= width and height == side):
        return width, height
    if width < height:
        return side, int(side * height / width)
    return int(side * width / height), side


def drawn(width, height, scales, longest, first, smallest, largest):
    """RandomSelect(RandomResize, Compose(RandomResize, RandomSizeCrop, RandomResize))."""
    if random.random() < 0.5:
        return resized(width, height, random.choice(scales), longest)
    width, height = resized(width, height, random.choice(first))
    width, height = (random.randint(smallest, min(side, largest)) for side in (width, height))
    return resized(width, height, random.choice(scales), longest)


def sizes():
    random.seed(1)
    cases = []
    for width, height, shorter, longest in [(128, 96, 160, 267), (40, 130, 160, 267), (70, 70, 100, 110)]:
        ratio = shorter / 800
        family = (
            [round(side * ratio) for side in range(480, 801, 32)], longest,
            [round(side * ratio) for side in (400, 500, 600)], round(384 * ratio), round(600 * ratio))
        found = numpy.array([drawn(width, height, *family) for _ in range(400_000)], dtype=numpy.float64)
        cases.append({
            "width": width, "height": height, "shorterSide": shorter, "longestSide": longest,
            "mean": found.mean(0).tolist(), "deviation": found.std(0).tolist()})
    return cases


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "Tests/TrainingTests/Golden"
    with open(os.path.join(folder, "augmentation.json"), "w") as file:
        json.dump({"colors": colors(folder), "sizes": sizes()}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
