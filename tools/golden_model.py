"""Writes the golden cases of Tests/DeformDETRTests: tiny models of every variant, with what the reference makes of an image.

    python tools/golden_model.py [Tests/DeformDETRTests/Golden]

Each case is one safetensors file:
  weights        under the authors' names, as in `checkpoint['model']`
  input.pixel_values [N, 3, H, W] and, for a padded batch, input.pixel_mask [N, H, W] (1 where there is image)
  expected.feature.l [N, d, h, w], expected.memory [N, S, d], expected.hidden [layers, N, Q, d],
  expected.logits [N, Q, C], expected.pred_boxes [N, Q, 4]
  attention.references, attention.locations, attention.weights  where the last decoder layer looks, as `last_attention` gives
and in `__metadata__` "configuration": transformers' configuration fields as JSON, with "backbone": {block, stem, widths,
depths} and "versions" (one string: safetensors writes several in a random order). Expected values are computed in float64 and rounded to float32.
"""

import dataclasses
import json
import os
import platform
import sys

import timm
import torch
import transformers
from safetensors.torch import save_file

from checkpoint_forms import official_state
from deformable_detr_reference import NarrowBackbone, build, last_attention, run, smooth_noise

BOTTLENECK = NarrowBackbone("bottleneck", stem=8, widths=(4, 4, 4, 4), depths=(1, 2, 1, 1))
BASIC = NarrowBackbone("basic", stem=6, widths=(4, 6, 8, 8), depths=(1, 1, 1, 1))
DEEP_LAST_STAGE = NarrowBackbone("bottleneck", stem=8, widths=(4, 4, 6, 8), depths=(1, 1, 1, 3))


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    variant: str
    backbone: NarrowBackbone
    sizes: tuple  # of each image of the batch, (height, width)
    heads: int
    encoder_points: int
    decoder_points: int
    levels: int = 4
    encoder_layers: int = 1
    decoder_layers: int = 2
    queries: int = 7
    classes: int = 5
    d_model: int = 32
    feed_forward: int = 20


CASES = [
    Case("base-bottleneck", "base", BOTTLENECK, ((43, 65),), heads=4, encoder_points=3, decoder_points=2),
    Case("three-levels-basic", "base", BASIC, ((71, 45),), heads=2, encoder_points=4, decoder_points=1, levels=3,
         encoder_layers=2, decoder_layers=1, queries=11, classes=3),
    Case("five-levels-basic", "base", BASIC, ((66, 130),), heads=2, encoder_points=1, decoder_points=2, levels=5,
         decoder_layers=1),
    Case("wide-one-class", "base", BASIC, ((37, 33),), heads=8, encoder_points=1, decoder_points=1, levels=3,
         decoder_layers=1, queries=1, classes=1, d_model=64),
    Case("single-scale", "single-scale", BASIC, ((43, 81),), heads=4, encoder_points=4, decoder_points=2, levels=1,
         encoder_layers=2),
    Case("single-scale-dc5", "single-scale-dc5", DEEP_LAST_STAGE, ((65, 51),), heads=4, encoder_points=4,
         decoder_points=3, levels=1, decoder_layers=1),
    Case("refine", "refine", BASIC, ((35, 66),), heads=2, encoder_points=2, decoder_points=1, decoder_layers=3),
    Case("two-stage", "two-stage", BASIC, ((70, 43),), heads=2, encoder_points=1, decoder_points=2, queries=9),
    Case("padded-batch", "base", BOTTLENECK, ((45, 67), (33, 70)), heads=2, encoder_points=2, decoder_points=3,
         decoder_layers=1),
    Case("padded-batch-two-stage", "two-stage", BASIC, ((51, 40), (69, 33)), heads=2, encoder_points=2,
         decoder_points=1, decoder_layers=2, queries=6),
]


def batch(sizes, seed):
    """[N, 3, H, W] and [N, H, W]: each image at the upper left, zeros and a mask of zeros to the right and below."""
    height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
    pixels, mask = torch.zeros(len(sizes), 3, height, width), torch.zeros(len(sizes), height, width)
    for index, (h, w) in enumerate(sizes):
        pixels[index, :, :h, :w] = smooth_noise(h, w, seed=seed + index)[0]
        mask[index, :h, :w] = 1
    return pixels, mask


def model_of(case, seed):
    return build(
        case.variant, case.backbone, seed, d_model=case.d_model, num_feature_levels=case.levels,
        encoder_layers=case.encoder_layers, decoder_layers=case.decoder_layers, encoder_ffn_dim=case.feed_forward,
        decoder_ffn_dim=case.feed_forward, encoder_attention_heads=case.heads, decoder_attention_heads=case.heads,
        encoder_n_points=case.encoder_points, decoder_n_points=case.decoder_points, num_queries=case.queries,
        num_labels=case.classes)


def has_clear_proposals(expected, queries):
    """Whether float noise cannot change which proposals are taken, or their order."""
    scores = expected["proposal_scores"].sort(descending=True).values[:, : queries + 1]
    return bool((scores[:, :-1] - scores[:, 1:]).min() > 5e-3)


def clear_model(case):
    """The case's model in float64, its batch, and what it makes of it; the first seed whose proposals are clear."""
    for seed in range(100):
        model = model_of(case, seed)
        pixels, mask = batch(case.sizes, 10 * seed)
        expected = run(model.double(), pixels.double(), mask.double())
        scores = expected.pop("proposal_scores", None)
        if scores is None or has_clear_proposals({"proposal_scores": scores}, case.queries):
            return model, pixels, mask, expected
    raise SystemExit(f"{case.name}: no seed gives clear proposals")


def golden(case):
    """The case's tensors and configuration."""
    model, pixels, mask, expected = clear_model(case)
    state = {name: tensor.float() for name, tensor in official_state(model).items()}
    tensors = state | {"input.pixel_values": pixels}
    if len(case.sizes) > 1:
        tensors["input.pixel_mask"] = mask
    tensors |= {f"expected.{name}": value.float() for name, value in expected.items()}
    attention = last_attention(model, pixels.double(), mask.double())
    tensors |= {f"attention.{name}": value.float() for name, value in attention.items()}
    config = model.config
    fields = (
        "d_model encoder_layers decoder_layers encoder_attention_heads decoder_attention_heads encoder_ffn_dim"
        " decoder_ffn_dim encoder_n_points decoder_n_points num_feature_levels num_queries num_labels two_stage"
        " with_box_refine dilation").split()
    configuration = {field: getattr(config, field) for field in fields}
    configuration["backbone"] = dataclasses.asdict(case.backbone)
    return tensors, configuration


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "Tests", "DeformDETRTests", "Golden")
    folder = sys.argv[1] if len(sys.argv) > 1 else default
    os.makedirs(folder, exist_ok=True)
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}, timm {timm.__version__}," \
               f" Python {platform.python_version()}"
    for case in CASES:
        tensors, configuration = golden(case)
        path = os.path.join(folder, f"{case.name}.safetensors")
        metadata = {"configuration": json.dumps(configuration | {"versions": versions})}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
        logits = tensors["expected.logits"]
        print(f"{case.name}: {os.path.getsize(path) // 1000} kB, logits {logits.mean():.2f},"
              f" over queries +- {logits.std(1, correction=0).mean():.2f}")


if __name__ == "__main__":
    main()
