"""Writes the golden cases of Tests/DeformableAttentionTests: multi-scale deformable attention as transformers computes it.

    python tools/golden_deformable_attention.py [Tests/DeformableAttentionTests/Golden]

Each case is one safetensors file:
  weights     sampling_offsets, attention_weights, value_proj, output_proj: {weight, bias}, as in the authors' MSDeformAttn
  query       [N, Q, d], what the offsets and weights are projected from (position already added)
  value       [N, S, d], the flattened levels
  reference_points [N, Q, L, 2 or 4], normalised to each level, as the layers hand them over
  mask        [N, S], 1 where there is image; only in cases with padding
  expected.sampling_locations [N, Q, h, L, P, 2], normalised; expected.attention_weights [N, Q, h, L, P]
  expected.sampled [N, Q, d], before the output projection; expected.output [N, Q, d]
  output_gradient [N, Q, d], the gradient of a loss with respect to the output, and what autograd makes of it:
  expected.gradient.{query, value, reference_points} and expected.gradient.<name> of each parameter
and in `__metadata__` "configuration" as JSON: {d_model, heads, points, level_sizes: [[height, width], ...], versions}.
Expected values are computed in float64 and rounded to float32.
"""

import dataclasses
import json
import os
import platform
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import DeformableDetrConfig
from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrMultiscaleDeformableAttention


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    level_sizes: tuple  # (height, width)
    heads: int
    points: int
    d_model: int
    queries: int
    reference_axes: int = 2
    batch: int = 1
    masked: bool = False
    offset_scale: float = 1.5  # pixels
    huge_offsets: bool = False  # some of a thousand million pixels: they must sample zeros, not overflow an index


CASES = [
    Case("points-2d", ((7, 11), (4, 6), (2, 3), (1, 2)), heads=4, points=4, d_model=32, queries=9),
    Case("boxes-4d", ((9, 5), (5, 3), (3, 2)), heads=2, points=3, d_model=16, queries=13, reference_axes=4),
    Case("masked-batch", ((6, 9), (3, 5)), heads=4, points=2, d_model=16, queries=7, batch=2, masked=True),
    Case("masked-boxes-4d", ((8, 4), (4, 2)), heads=2, points=4, d_model=8, queries=5, reference_axes=4, batch=3, masked=True),
    Case("far-outside", ((3, 4), (2, 2), (1, 1)), heads=2, points=4, d_model=16, queries=33, offset_scale=5.0, huge_offsets=True),
    Case("one-head-one-point", ((5, 7),), heads=1, points=1, d_model=4, queries=6),
    Case("odd-channels", ((5, 3), (3, 2)), heads=3, points=5, d_model=21, queries=8),
    Case("wide-head", ((4, 5), (1, 3)), heads=1, points=2, d_model=40, queries=4),
    Case("one-level-boxes", ((6, 5),), heads=2, points=9, d_model=10, queries=11, reference_axes=4),
    Case("one-head-masked", ((5, 6), (3, 3), (2, 2)), heads=1, points=3, d_model=17, queries=6, batch=2, masked=True),
    Case("far-outside-boxes", ((4, 3), (2, 2)), heads=2, points=2, d_model=6, queries=19, reference_axes=4,
         offset_scale=9.0, huge_offsets=True),
    Case("one-pixel-levels", ((1, 1), (1, 1), (1, 7)), heads=3, points=2, d_model=9, queries=10),
    Case("odd-channels-masked-boxes", ((7, 3), (3, 5)), heads=5, points=3, d_model=35, queries=3, reference_axes=4, batch=2,
         masked=True),
    Case("wide-heads", ((3, 4), (2, 3)), heads=2, points=1, d_model=70, queries=2),
]


def golden(case, seed):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, scale=1.0):
        return torch.randn(*shape, generator=generator) * scale

    config = DeformableDetrConfig(d_model=case.d_model, num_feature_levels=len(case.level_sizes))
    module = DeformableDetrMultiscaleDeformableAttention(config, num_heads=case.heads, n_points=case.points).eval()
    for name, layer in module.named_children():
        if isinstance(layer, torch.nn.Linear):
            scale = case.offset_scale if name == "sampling_offsets" else 1.0
            layer.weight.data = normal(*layer.weight.shape, scale=scale / case.d_model**0.5)
            layer.bias.data = normal(*layer.bias.shape, scale=0.5 * scale)
    if case.huge_offsets:
        module.sampling_offsets.bias.data[:4] = torch.tensor([1e9, 0.0, 0.0, -1e9])
    positions = sum(height * width for height, width in case.level_sizes)
    levels = len(case.level_sizes)
    query = normal(case.batch, case.queries, case.d_model)
    value = normal(case.batch, positions, case.d_model)
    # A little beyond the image too: the layers never ask for that, the operator must stand it.
    reference = torch.rand(case.batch, case.queries, levels, case.reference_axes, generator=generator) * 1.2 - 0.1
    if case.reference_axes == 4:
        reference[..., 2:] = reference[..., 2:].abs()
    mask = torch.ones(case.batch, positions)
    if case.masked:
        start = 0
        for height, width in case.level_sizes:
            for image in range(case.batch - 1):  # the last image fills its canvas
                level = mask[image, start : start + height * width].view(height, width)
                level[max(1, height - 1 - image) :] = 0
                level[:, max(1, width - 2 + image) :] = 0
            start += height * width

    output_gradient = normal(case.batch, case.queries, case.d_model)

    captured = {}
    module.double()
    module.attn.register_forward_hook(lambda _, inputs, output: captured.update(locations=inputs[4], sampled=output))
    shapes = torch.tensor(case.level_sizes)
    inputs = {"query": query, "value": value, "reference_points": reference}
    doubles = {name: tensor.double().requires_grad_() for name, tensor in inputs.items()}
    output, weights = module(
        hidden_states=doubles["query"], attention_mask=mask.bool() if case.masked else None,
        encoder_hidden_states=doubles["value"], reference_points=doubles["reference_points"], spatial_shapes=shapes,
        spatial_shapes_list=[tuple(size) for size in case.level_sizes],
        level_start_index=torch.cat((shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1])))
    output.backward(output_gradient.double())
    tensors = module.state_dict() | inputs
    if case.masked:
        tensors["mask"] = mask
    tensors |= {
        "expected.sampling_locations": captured["locations"], "expected.attention_weights": weights,
        "expected.sampled": captured["sampled"], "expected.output": output, "output_gradient": output_gradient}
    for name, tensor in (doubles | dict(module.named_parameters())).items():
        tensors[f"expected.gradient.{name}"] = tensor.grad
    return {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "Tests", "DeformableAttentionTests", "Golden")
    folder = sys.argv[1] if len(sys.argv) > 1 else default
    os.makedirs(folder, exist_ok=True)
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    for seed, case in enumerate(CASES):
        configuration = {
            "d_model": case.d_model, "heads": case.heads, "points": case.points, "level_sizes": case.level_sizes,
            "versions": versions}
        tensors = golden(case, seed)
        path = os.path.join(folder, f"{case.name}.safetensors")
        save_file(tensors, path, metadata={"configuration": json.dumps(configuration)})
        locations = tensors["expected.sampling_locations"]
        outside = ((locations < 0) | (locations > 1)).any(-1).float().mean()
        print(f"{case.name}: {os.path.getsize(path) // 1000} kB, {100 * outside:.0f}% of the samples outside")


if __name__ == "__main__":
    main()
