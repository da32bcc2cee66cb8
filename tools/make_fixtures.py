"""Makes what tests of the whole detector run on: four pictures and a tiny model.

    python tools/make_fixtures.py [Tests/Fixtures]

The pictures (cards, labels and coasters on a table) are drawn here, with Pillow and numpy alone. The model's weights are
random, except for the last layer of each head, which least squares fits to these four pictures: its boxes
lie where the things are, and mean nothing on any other picture. Versions: requirements.txt.
"""

import json
import os
import sys

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment

import reference_images
from checkpoint_forms import official_state
from deformable_detr_reference import NarrowBackbone, build, detections, run

CLASSES = ["card", "label", "coaster"]
BACKBONE = NarrowBackbone("basic", stem=8, widths=(8, 12, 16, 24))
OVERSAMPLING = 2
# Name, (width, height), table colour, and (class, centre x, centre y, size, turn in degrees, hue), positions in 0...1.
SCENES = [
    ("table.jpg", (640, 480), (151, 108, 72), [
        ("card", 0.24, 0.36, 0.36, -14, 0), ("label", 0.70, 0.24, 0.22, 9, 1), ("coaster", 0.56, 0.66, 0.24, 0, 2),
        ("label", 0.22, 0.82, 0.18, -4, 3), ("card", 0.84, 0.70, 0.25, 24, 4)]),
    ("portrait.jpg", (480, 640), (92, 112, 120), [
        ("label", 0.34, 0.18, 0.34, 6, 5), ("coaster", 0.70, 0.36, 0.30, 0, 0), ("card", 0.38, 0.62, 0.52, -9, 1),
        ("coaster", 0.78, 0.85, 0.20, 0, 3)]),
    ("wide.jpg", (800, 450), (122, 128, 96), [
        ("coaster", 0.13, 0.62, 0.22, 0, 4), ("card", 0.36, 0.38, 0.30, 17, 2), ("label", 0.60, 0.72, 0.20, -8, 0),
        ("card", 0.84, 0.44, 0.22, -20, 5)]),
    ("square.png", (500, 500), (171, 158, 139), [
        ("card", 0.36, 0.32, 0.44, 11, 3), ("label", 0.74, 0.66, 0.30, -12, 1), ("coaster", 0.28, 0.76, 0.26, 0, 5)]),
]
HUES = [(196, 62, 58), (48, 105, 163), (222, 164, 58), (62, 132, 92), (118, 82, 150), (210, 112, 68)]
PAPER = (244, 240, 230)


def draw_card(size, hue):
    image = Image.new("RGBA", (size, round(size * 0.64)))
    draw = ImageDraw.Draw(image)
    width, height = image.size
    draw.rounded_rectangle((0, 0, width - 1, height - 1), size // 14, fill=PAPER + (255,))
    draw.rounded_rectangle((0, 0, width - 1, height * 0.34), size // 14, fill=hue + (255,))
    draw.rectangle((0, height * 0.2, width - 1, height * 0.34), fill=hue + (255,))
    for line, length in enumerate((0.62, 0.5, 0.56)):
        top = height * (0.48 + 0.15 * line)
        draw.rounded_rectangle((width * 0.1, top, width * (0.1 + length), top + height * 0.06), 3, fill=(120, 116, 108, 255))
    draw.ellipse((width * 0.76, height * 0.5, width * 0.92, height * 0.5 + width * 0.16), fill=hue + (255,))
    return image


def draw_label(size, hue):
    image = Image.new("RGBA", (size, round(size * 0.5)))
    draw = ImageDraw.Draw(image)
    width, height = image.size
    draw.rounded_rectangle((0, 0, width - 1, height - 1), size // 30, fill=(250, 250, 247, 255))
    draw.rectangle((width * 0.06, height * 0.1, width * 0.94, height * 0.22), fill=hue + (255,))
    edge, generator = width * 0.08, np.random.default_rng(size)
    while edge < width * 0.9:
        bar = size * generator.choice((0.01, 0.02, 0.03))
        draw.rectangle((edge, height * 0.34, edge + bar, height * 0.86), fill=(36, 34, 32, 255))
        edge += bar + size * generator.choice((0.012, 0.024))
    return image


def draw_coaster(size, hue):
    image = Image.new("RGBA", (size, size))
    draw = ImageDraw.Draw(image)
    for ring, colour in enumerate((hue, PAPER, hue, tuple(round(0.75 * part) for part in hue))):
        inset = size * (0.0, 0.07, 0.12, 0.33)[ring]
        draw.ellipse((inset, inset, size - 1 - inset, size - 1 - inset), fill=colour + (255,))
    return image


def in_perspective(thing, turn):
    """The thing turned and seen a little from the front: its far edge is shorter."""
    thing = thing.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    width, height = thing.size
    target_height, inset = round(height * 0.86), width * 0.045
    corners = [(inset, 0), (width - inset, 0), (width, target_height), (0, target_height)]
    source = [(0, 0), (width, 0), (width, height), (0, height)]
    rows = []
    for (x, y), (u, v) in zip(corners, source):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    coefficients = np.linalg.solve(np.array(rows, float), np.array(source, float).flatten())
    return thing.transform(
        (width, target_height), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)


def draw_table(size, colour, seed):
    """Wooden boards with grain, lighter towards the upper left."""
    width, height = size
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    board = np.floor(y / (height / 5))
    tones = generator.uniform(-9, 9, 6)[board.astype(int)]
    waves = sum(
        generator.uniform(1, 3) * np.sin(y / generator.uniform(4, 14) + np.sin(x / generator.uniform(120, 260)) * 2 + board * 2)
        for _ in range(4))
    seams = -34 * np.exp(-(((y / (height / 5)) % 1.0) * height / 5 / 2.5) ** 2)
    light = 1.14 - 0.3 * (x / width + y / height) / 2
    surface = (np.array(colour)[None, None] + (tones + waves + seams)[..., None]) * light[..., None]
    return Image.fromarray(surface.clip(0, 255).astype(np.uint8))


def draw_scene(size, colour, things, seed):
    """The picture, and its boxes as (class, [x_min, y_min, x_max, y_max] in 0...1)."""
    width, height = (OVERSAMPLING * side for side in size)
    scene = draw_table((width, height), colour, seed).convert("RGBA")
    boxes = []
    for kind, x, y, extent, turn, hue in things:
        draw = {"card": draw_card, "label": draw_label, "coaster": draw_coaster}[kind]
        thing = in_perspective(draw(round(extent * width), HUES[hue]), turn)
        left, top = round(x * width - thing.width / 2), round(y * height - thing.height / 2)
        shadow = Image.new("RGBA", (width, height))
        shadow.paste((20, 14, 8, 130), (left + width // 90, top + width // 70), thing.getchannel("A"))
        scene.alpha_composite(shadow.filter(ImageFilter.GaussianBlur(width // 110)))
        layer = Image.new("RGBA", (width, height))
        layer.paste(thing, (left, top))
        scene.alpha_composite(layer)
        edges = thing.getchannel("A").point(lambda value: 255 * (value > 127)).getbbox()
        boxes.append((kind, [(left + edges[0]) / width, (top + edges[1]) / height,
                             (left + edges[2]) / width, (top + edges[3]) / height]))
    pixels = np.array(scene.convert("RGB").resize(size, Image.Resampling.LANCZOS)).astype(float)
    y, x = np.mgrid[0:size[1], 0:size[0]]
    distance = np.hypot(x / size[0] - 0.45, y / size[1] - 0.4)
    return Image.fromarray((pixels * (1.06 - 0.35 * distance**2)[..., None]).clip(0, 255).astype(np.uint8)), boxes


def tiny_model():
    model = build(
        "base", BACKBONE, seed=4, num_labels=len(CLASSES), d_model=64,
        num_feature_levels=3, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=64, decoder_ffn_dim=64,
        encoder_attention_heads=8, decoder_attention_heads=8, num_queries=24)
    return model.double()


def metadata(config):
    """The strings by which `detect` knows a converted file: see Sources/DeformDETR/ModelMetadata.swift."""
    configuration = {
        "backbone": {
            "block": BACKBONE.block, "depths": BACKBONE.depths, "stemWidth": BACKBONE.stem, "widths": BACKBONE.widths,
            "dilatesLastStage": False},
        "featureTaps": 3, "modelWidth": config.d_model, "heads": config.encoder_attention_heads,
        "encoderLayers": config.encoder_layers, "decoderLayers": config.decoder_layers,
        "levels": config.num_feature_levels, "encoderPoints": config.encoder_n_points,
        "decoderPoints": config.decoder_n_points, "feedForwardWidth": config.encoder_ffn_dim,
        "queries": config.num_queries, "classes": len(CLASSES), "refinement": False, "twoStage": False,
        "sharesHeads": True}
    return {
        "detect_format_version": "1", "dtype": "f32", "configuration": json.dumps(configuration),
        "class_names": json.dumps(CLASSES)}


def least_squares(inputs, targets, weights, ridge):
    """The weighted ridge regression of targets [n, m] on inputs [n, d] and a constant: (weight [m, d], bias [m])."""
    inputs = torch.cat((inputs, torch.ones_like(inputs[:, :1])), 1)
    weighted = inputs * weights[:, None]
    penalty = ridge * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    solution = torch.linalg.solve(weighted.T @ inputs + penalty, weighted.T @ targets).T
    return solution[:, :-1], solution[:, -1]


@torch.no_grad()
def fit_heads(model, pictures):
    """Gives each thing of each picture a query, and fits both heads' last layers to them."""
    hidden, references, classes, deltas, matched = [], [], [], [], []
    query_position = model.model.query_position_embeddings.weight[:, : model.config.d_model]
    reference = model.model.reference_points(query_position)
    for image, boxes in pictures:
        output = run(model, torch.from_numpy(reference_images.preprocess(image)).double())
        corners = torch.tensor([box for _, box in boxes], dtype=torch.float64)
        centers = (corners[:, :2] + corners[:, 2:]) / 2
        sizes = corners[:, 2:] - corners[:, :2]
        things, queries = linear_sum_assignment(torch.cdist(centers, reference.sigmoid()).numpy())
        target = torch.full((len(reference), len(CLASSES)), -4.0, dtype=torch.float64)
        delta = torch.zeros(len(reference), 4, dtype=torch.float64)
        weight = torch.zeros(len(reference), dtype=torch.float64)
        for thing, query in zip(things, queries):
            target[query, CLASSES.index(boxes[thing][0])] = 2.2 + 0.25 * thing
            delta[query] = torch.cat((centers[thing], sizes[thing])).logit()
            delta[query, :2] -= reference[query]
            weight[query] = 1
        hidden.append(output["hidden"][-1, 0])
        classes.append(target)
        deltas.append(delta)
        matched.append(weight)
    hidden, matched = torch.cat(hidden), torch.cat(matched)
    head = model.class_embed[0]
    weight, bias = least_squares(hidden, torch.cat(classes), 1 + 8 * matched, ridge=1e-3)
    head.weight.copy_(weight)
    head.bias.copy_(bias)
    layers = model.bbox_embed[0].layers
    inputs = torch.relu(layers[1](torch.relu(layers[0](hidden))))
    weight, bias = least_squares(inputs, torch.cat(deltas), matched + 1e-4, ridge=1e-3)
    layers[2].weight.copy_(weight)
    layers[2].bias.copy_(bias)


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "Tests", "Fixtures")
    folder = sys.argv[1] if len(sys.argv) > 1 else default
    os.makedirs(folder, exist_ok=True)
    pictures = []
    for seed, (name, size, colour, things) in enumerate(SCENES):
        image, boxes = draw_scene(size, colour, things, seed)
        path = os.path.join(folder, name)
        image.save(path, **({"quality": 88} if name.endswith(".jpg") else {"optimize": True}))
        pictures.append((reference_images.load(path), boxes))
        print(f"{name}: {os.path.getsize(path) // 1000} kB")
    model = tiny_model()
    fit_heads(model, pictures)
    model.float()
    path = os.path.join(folder, "model.safetensors")
    tensors = {name: tensor.contiguous() for name, tensor in official_state(model).items()}
    for name in [name for name in tensors if name.startswith(("class_embed.1.", "bbox_embed.1."))]:
        del tensors[name]  # aliases of head 0, which serves every layer
    save_file(tensors, path, metadata=metadata(model.config))
    os.chmod(path, 0o644)
    print(f"model.safetensors: {os.path.getsize(path) // 1000} kB")
    for (name, *_), (image, boxes) in zip(SCENES, pictures):
        output = run(model, torch.from_numpy(reference_images.preprocess(image)))
        found = detections(output["logits"][0], output["pred_boxes"][0], *image.size)
        found = [detection for detection in found if detection[1] > 0.5]
        print(f"{name}: {len(boxes)} things; found " + ", ".join(
            f"{CLASSES[label]} {score:.2f} {[round(edge) for edge in box]}" for label, score, box in found))


if __name__ == "__main__":
    main()
