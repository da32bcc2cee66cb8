"""Writes the grid cases of Tests/DeformableAttentionTests: the package deformable-attention, in one, two and three dimensions.

    python tools/golden_grid_attention.py [Tests/DeformableAttentionTests/Golden]

Each case is one safetensors file, `grid-<rank>d-<name>.safetensors`, float32, channels last:
  the module's state dict, under the package's names (3-D modules keep their offset scale there)
  input [N, n..., C]; expected.output, the same; expected.grid [N, G, n'..., n], what return_vgrid returns
  output_gradient, a gradient of the output; expected.gradient.input and expected.gradient.<parameter>, those it leads to
and in `__metadata__` "configuration" as JSON: {module: the package's class, its keyword arguments, geometry, versions}. The
package's own geometry is "reference". In "corrected" two of its functions are replaced: every axis is divided by its own extent
less one, and is sampled along itself.

Every parameter and buffer is random. Expected values are computed in float64 and rounded to float32. Gradients jump where a
sample crosses a pixel or a hidden unit of the position bias crosses zero: a seed that puts one near is passed over, as is one
whose hidden units are all silent.
"""

import dataclasses
import importlib
import json
import os
import platform
import sys
from importlib.metadata import version
from unittest import mock

import torch
from safetensors.torch import save_file

# How near a kink no sample (in pixels) and no hidden unit may come: some tens of float32's rounding errors there.
PIXEL_MARGIN, HIDDEN_MARGIN = 1e-4, 2e-6


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    size: tuple  # outermost axis first
    downsample_factor: object = 2  # a number; in 3-D one an axis
    offset_kernel_size: object = 4
    offset_scale: object = None
    dim: int = 16
    dim_head: int = 4
    heads: int = 4
    offset_groups: int | None = None
    group_queries: bool = True
    group_key_values: bool = True
    cpb_log_distance: bool = True  # a choice in 1-D only
    batch: int = 1
    geometry: str = "reference"

    @property
    def rank(self):
        return len(self.size)

    def keywords(self):
        """The arguments of the package's class."""
        names = ["dim", "dim_head", "heads", "downsample_factor", "offset_scale", "offset_groups", "offset_kernel_size",
                 "group_queries", "group_key_values"]
        if self.rank == 1:
            names.append("cpb_log_distance")
        return {name: getattr(self, name) for name in names}

    def configuration(self):
        """The same, with nothing left to defaults and one entry an axis."""

        def each_axis(value):
            return list(value) if isinstance(value, tuple) else [value] * self.rank

        factors = each_axis(self.downsample_factor)
        return {"module": f"DeformableAttention{self.rank}D"} | self.keywords() | {
            "downsample_factor": factors, "offset_kernel_size": each_axis(self.offset_kernel_size),
            "offset_scale": factors if self.offset_scale is None else each_axis(self.offset_scale),
            "offset_groups": self.offset_groups or self.heads, "geometry": self.geometry}


COMMON = [  # options that mean the same for every rank
    dict(name="grouped"),
    dict(name="ungrouped-queries", group_queries=False),
    dict(name="ungrouped-keys-values", group_key_values=False),
    dict(name="ungrouped", group_queries=False, group_key_values=False),
    dict(name="fewer-groups", offset_groups=2),
    dict(name="fewer-groups-ungrouped", offset_groups=2, group_queries=False, group_key_values=False),
    dict(name="one-group", offset_groups=1),
    dict(name="one-head", heads=1, dim_head=7, dim=12),
    dict(name="odd-head-width", heads=3, dim_head=5, dim=12),
    dict(name="batch", batch=2, offset_groups=2, group_queries=False),
    dict(name="narrowest-bias", dim=4, heads=2, dim_head=3),
]

CASES = [
    *(Case(**{"size": (23,), "downsample_factor": 4, "offset_kernel_size": 6} | options) for options in COMMON),
    Case("linear-distance", (17,), cpb_log_distance=False),
    Case("far-outside", (21,), offset_scale=12),
    Case("small-steps", (21,), offset_scale=0.25),
    Case("every-position", (9,), downsample_factor=1, offset_kernel_size=5),
    Case("kernel-of-the-factor", (26,), downsample_factor=3, offset_kernel_size=3),
    Case("odd-kernel", (22,), downsample_factor=3, offset_kernel_size=7, offset_scale=1.5),
    Case("one-sample", (6,), downsample_factor=4, offset_kernel_size=6, offset_scale=0.09),
    Case("one-position", (1,), downsample_factor=1, offset_kernel_size=3, batch=2),
    Case("width-72", (13,), dim=72, dim_head=6),
    Case("width-64", (13,), dim=64, heads=2, dim_head=5),
    *(Case(**{"size": (6, 7), "offset_scale": 0.8, "dim": 12} | options) for options in COMMON),
    Case("square", (8, 8), dim=12),
    Case("wide", (5, 13), offset_scale=0.25, dim=12, offset_groups=2),
    Case("tall", (12, 4), downsample_factor=2, offset_kernel_size=6, offset_scale=0.25, dim=8, batch=2),
    Case("far-outside", (6, 9), offset_scale=5, dim=12),
    Case("small-steps", (9, 6), offset_scale=0.25, dim=12),
    Case("every-position", (4, 5), downsample_factor=1, offset_kernel_size=3),
    Case("kernel-of-the-factor", (9, 11), downsample_factor=3, offset_kernel_size=3, offset_scale=0.6, dim=8),
    Case("odd-kernel", (10, 9), downsample_factor=3, offset_kernel_size=5, offset_scale=0.7, dim=8),
    Case("one-sample", (5, 6), downsample_factor=4, offset_kernel_size=6, offset_scale=0.09),
    Case("one-row", (1, 11), downsample_factor=1, offset_kernel_size=3, offset_scale=0.25),
    Case("width-72", (4, 5), offset_scale=0.25, dim=72, dim_head=4),
    Case("width-64", (5, 4), offset_scale=0.25, dim=64, heads=2, dim_head=5),
    Case("corrected", (5, 11), offset_scale=0.5, dim=8, offset_groups=2, geometry="corrected", batch=2),
    *(Case(**{
        "size": (4, 6, 4), "downsample_factor": (1, 2, 2), "offset_kernel_size": (3, 4, 4), "offset_scale": (0.7, 0.5, 0.3),
        "dim": 12} | options) for options in COMMON),
    Case("cube", (5, 5, 5), 2, (4, 4, 4), (0.4, 0.3, 0.5), dim=8),
    Case("axes-differ", (4, 7, 9), (2, 3, 4), (4, 5, 6), (0.3, 0.4, 0.25), dim=8, heads=2),
    Case("default-scale", (3, 5, 6), (1, 2, 2), (3, 4, 4), dim=8, offset_groups=2),
    Case("far-outside", (3, 5, 6), (1, 2, 2), (3, 4, 4), (1.5, 2.0, 1.75), dim=8, offset_groups=2),
    Case("small-steps", (3, 6, 5), (1, 2, 2), (3, 4, 4), (0.25, 0.3, 0.125), dim=8, offset_groups=2),
    Case("every-position", (2, 3, 4), 1, (3, 3, 3), (0.3, 0.7, 0.9), offset_groups=2),
    Case("odd-kernel", (4, 5, 4), (1, 3, 1), (5, 5, 3), (1.0, 0.5, 1.0), dim=8, offset_groups=1),
    Case("one-sample", (2, 5, 6), (2, 4, 4), (4, 6, 6), (0.06, 0.07, 0.18), dim=8, heads=2),
    Case("one-frame", (1, 6, 7), (1, 2, 2), (3, 4, 4), (0.3, 0.5, 0.6), dim=12, offset_groups=2),
    Case("width-72", (2, 4, 3), (1, 2, 2), (3, 4, 4), (0.2, 0.3, 0.15), dim=72, dim_head=4),
    Case("width-64", (2, 3, 4), (1, 2, 2), (3, 4, 4), (0.2, 0.15, 0.25), dim=64, heads=2, dim_head=5),
    Case("corrected", (3, 5, 6), (1, 2, 2), (3, 4, 4), (0.6, 0.7, 0.8), dim=8, offset_groups=2, geometry="corrected", batch=2),
]


def source(rank):
    """The package's module that holds the class of this rank."""
    return importlib.import_module(f"deformable_attention.deformable_attention_{rank}d")


def build(case, generator):
    """The package's module with every parameter and buffer random."""

    def normal(shape, scale):
        return torch.randn(shape, generator=generator, dtype=torch.float32) * scale

    module = getattr(source(case.rank), case.configuration()["module"])(**case.keywords()).eval()
    # Gains that move most samples off their pixel and many off the map, and make the bias as large as the products.
    gains = {"to_offsets.0": 2.0, "to_offsets.2": 1.5, "rel_pos_bias.mlp.2": 3.0}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            gain = next((gain for layer, gain in gains.items() if name.startswith(layer)), 1.5)
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 9
            parameter.copy_(normal(parameter.shape, gain / fan_in**0.5))
        for buffer in module.buffers():  # 3-D: the offset scale
            buffer.mul_(0.7 + 0.6 * torch.rand(buffer.shape, generator=generator, dtype=torch.float32))
    return module.double()


def corrected_normalize_grid(grid, dim=1, out_dim=-1):
    """normalize_grid with each coordinate divided by the extent of its own axis: (x, y) in 2-D, (frame, y, x) in 3-D."""
    coordinates = grid.unbind(dim)
    extents = grid.shape[-len(coordinates):]
    extents = extents[::-1] if len(coordinates) == 2 else extents
    scaled = [2.0 * coordinate / max(extent - 1, 1) - 1.0 for coordinate, extent in zip(coordinates, extents)]
    return torch.stack(scaled, dim=out_dim)


def run(case, module, image):
    """The module's output and vgrid; how near samples come to pixels and hidden units to zero; the share of samples outside."""
    package = source(case.rank)
    grid_sample = torch.nn.functional.grid_sample
    pixel_distances, hidden_distances, outside = [], [], []
    corrected = case.geometry == "corrected"

    def sample(features, grid, **options):
        if corrected and case.rank == 3:
            grid = grid.flip(-1)
        extents = torch.tensor(features.shape[:1:-1])
        pixels = ((grid.detach() + 1) * extents - 1) / 2
        pixels = pixels[..., 1:] if case.rank == 1 else pixels  # the package's 1-D is a column: all x are the same
        pixel_distances.append((pixels - pixels.round()).abs().min().item())
        bounds = extents[1:] if case.rank == 1 else extents
        outside.append(((pixels <= -1) | (pixels >= bounds)).any(-1).double().mean().item())
        return grid_sample(features, grid, **options)

    hooks = [
        layer[0].register_forward_hook(lambda *call: hidden_distances.append(call[-1].detach().abs().min().item()))
        for layer in list(module.rel_pos_bias.mlp)[:-1]]
    normalize = corrected_normalize_grid if corrected else package.normalize_grid
    with mock.patch.object(torch.nn.functional, "grid_sample", sample), mock.patch.object(package, "normalize_grid", normalize):
        output, grid = module(image, return_vgrid=True)
    for hook in hooks:
        hook.remove()
    return output, grid, min(pixel_distances), min(hidden_distances), outside[0]


def channels_last(tensor):
    return tensor.detach().movedim(1, -1)


def golden(case, seed):
    """The case's tensors, and the share of samples that meet no pixel; no tensors when the seed won't do."""
    generator = torch.Generator().manual_seed(seed)
    module = build(case, generator)
    parameters = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    image = torch.randn(case.batch, case.dim, *case.size, generator=generator, dtype=torch.float32)
    output_gradient = torch.randn(image.shape, generator=generator, dtype=torch.float32)

    leaf = image.double().requires_grad_()
    output, grid, pixel_distance, hidden_distance, outside = run(case, module, leaf)
    if pixel_distance < PIXEL_MARGIN or hidden_distance < HIDDEN_MARGIN:
        return None, outside
    output.backward(output_gradient.double())
    if case.rank == 1:
        grid = grid[:, None]
    grid = channels_last(grid).unflatten(0, (case.batch, -1))
    tensors = parameters | {
        "input": channels_last(image), "output_gradient": channels_last(output_gradient),
        "expected.output": channels_last(output), "expected.grid": grid,
        "expected.gradient.input": channels_last(leaf.grad)}
    tensors |= {f"expected.gradient.{name}": parameter.grad for name, parameter in module.named_parameters()}
    silent = not module.rel_pos_bias.mlp[1][0].weight.grad.any()
    if silent and grid[0, 0, ..., 0].numel() > 1:  # a single sample has all the attention, and its bias no influence
        return None, outside
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}, outside


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "Tests", "DeformableAttentionTests", "Golden")
    folder = sys.argv[1] if len(sys.argv) > 1 else default
    os.makedirs(folder, exist_ok=True)
    torch.set_default_dtype(torch.float64)  # the 1-D module makes its query positions in the default type
    versions = (f"deformable-attention {version('deformable-attention')}, torch {torch.__version__}, "
                f"Python {platform.python_version()}")
    total = 0
    for number, case in enumerate(CASES):
        tensors, seed = None, 1000 * number
        while tensors is None:
            tensors, outside = golden(case, seed)
            seed += 1
        path = os.path.join(folder, f"grid-{case.rank}d-{case.name}.safetensors")
        save_file(tensors, path, metadata={"configuration": json.dumps(case.configuration() | {"versions": versions})})
        total += os.path.getsize(path)
        print(f"{os.path.basename(path)}: {os.path.getsize(path) // 1000} kB, samples {list(tensors['expected.grid'].shape)}, "
              f"{100 * outside:.0f}% outside, output up to {tensors['expected.output'].abs().max():.1f}")
    print(f"{len(CASES)} cases, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
