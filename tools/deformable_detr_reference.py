"""The reference that every number of this project is compared with: Deformable DETR as transformers runs it, on the CPU.

Builds any variant without downloads, draws every parameter and every batch-norm statistic at random, runs it and returns
the tensors that `detect --dump` writes. Versions: requirements.txt (transformers 5.23.0, torch 2.15.0, timm 1.0.31).

Why random and not freshly initialised: a fresh model's sampling offsets don't depend on the query, its attention is
uniform and its box heads are zero, which hides nearly every mistake.

Run as a script it prints, for each variant, how far float32 lies from float64: the reference's own noise.
"""

import argparse
import dataclasses
import math
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import timm.models.resnet as timm_resnet
from torch import nn
from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection
from transformers.models.deformable_detr import modeling_deformable_detr as modeling

# The five published variants, as configuration values.
VARIANTS = {
    "single-scale": dict(num_feature_levels=1),
    "single-scale-dc5": dict(num_feature_levels=1, dilation=True),
    "base": dict(),
    "refine": dict(with_box_refine=True),
    "two-stage": dict(with_box_refine=True, two_stage=True),
}


@dataclasses.dataclass(frozen=True)
class NarrowBackbone:
    """A ResNet of timm's blocks with any stem, widths and number of stages, for what must be small."""

    block: str = "basic"  # or "bottleneck": its stages put out four times their width
    stem: int = 8
    widths: tuple = (4, 8, 12, 16)
    depths: tuple = (1, 1, 1, 1)


class NarrowResNet(timm_resnet.ResNet):
    """timm's ResNet with another stem width, or fewer stages; its forward returns those that the detector taps."""

    def __init__(self, spec, dilation, taps):
        block = {"basic": timm_resnet.BasicBlock, "bottleneck": timm_resnet.Bottleneck}[spec.block]
        output_stride = 2 ** (len(spec.depths) + 1) // (2 if dilation else 1)
        super().__init__(block, spec.depths, channels=spec.widths, output_stride=output_stride)
        self.conv1 = nn.Conv2d(3, spec.stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(spec.stem)
        stages, _ = timm_resnet.make_blocks(
            (block,) * len(spec.widths), spec.widths, spec.depths, spec.stem, output_stride=output_stride,
            cardinality=1, base_width=64, act_layer=nn.ReLU, norm_layer=nn.BatchNorm2d)
        for name, stage in stages:
            setattr(self, name, stage)
        del self.global_pool, self.fc
        self.taps = taps
        self.tap_channels = [spec.widths[tap - 1] * block.expansion for tap in taps]

    def forward(self, pixels):
        value = self.maxpool(self.act1(self.bn1(self.conv1(pixels))))
        maps = []
        for index in range(1, max(self.taps) + 1):
            value = getattr(self, f"layer{index}")(value)
            if index in self.taps:
                maps.append(value)
        return maps


class _NarrowBackboneHolder(nn.Module):
    """What transformers' convolutional encoder takes from a timm backbone."""

    def __init__(self, network):
        super().__init__()
        self._backbone = network
        self.channels = network.tap_channels


def build(variant="base", backbone="resnet50", seed=0, randomised=True, **configuration):
    """A `DeformableDetrForObjectDetection` in evaluation mode with random parameters.

    backbone: a timm name (resnet18, resnet34, resnet50, resnet101) or a NarrowBackbone.
    randomised: False leaves transformers' initial values, for a caller who loads others next.
    configuration: any field of DeformableDetrConfig, and num_labels (91 unless told); the variant's fields come first.
    """
    torch.manual_seed(seed)
    fields = dict(num_labels=91, disable_custom_kernels=True) | VARIANTS[variant] | configuration
    labels = fields.pop("num_labels")
    if "num_queries" in fields:
        fields["two_stage_num_proposals"] = fields["num_queries"]
    # Heads are tied below as the authors tie them; transformers' own tying would make all refinement heads one.
    config = DeformableDetrConfig(
        backbone=backbone if isinstance(backbone, str) else "resnet50", num_labels=labels,
        tie_word_embeddings=False, **fields)
    if isinstance(backbone, str):
        model = DeformableDetrForObjectDetection(config)
    else:
        # The maps of the last three stages, never the first one's.
        stages = len(backbone.depths)
        taps = range(2, stages + 1)[-3:] if config.num_feature_levels > 1 else (stages,)
        original = modeling.load_backbone
        modeling.load_backbone = lambda config: _NarrowBackboneHolder(NarrowResNet(backbone, config.dilation, taps))
        try:
            model = DeformableDetrForObjectDetection(config)
        finally:
            modeling.load_backbone = original
    tie_heads(model)
    model.config.tie_word_embeddings = True  # so that a saved model's heads are tied again when transformers loads it
    model.eval()
    if randomised:
        randomise(model, seed)
        calibrate_backbone(model)
    return model


def tie_heads(model):
    """Ties the heads as the official code does: all of them without refinement, with the decoder's copies otherwise."""
    config = model.config
    if not config.with_box_refine:
        for index in range(1, len(model.class_embed)):
            model.class_embed[index] = model.class_embed[0]
            model.bbox_embed[index] = model.bbox_embed[0]
    else:
        model.model.decoder.bbox_embed = model.bbox_embed
        if config.two_stage:
            model.model.decoder.class_embed = model.class_embed


@torch.no_grad()
def randomise(model, seed):
    """Draws every parameter and statistic anew, on scales that keep activations near one and outputs far from degenerate."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, scale, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale + mean)

    def uniform(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            normal(module.weight, math.sqrt((1 if module.bias is not None else 2) / fan_in))
            if module.bias is not None:
                normal(module.bias, 0.2)
        elif isinstance(module, modeling.DeformableDetrFrozenBatchNorm2d):
            uniform(module.weight, 0.6, 1.4)
            normal(module.bias, 0.2)
            normal(module.running_mean, 0.2)
            uniform(module.running_var, 0.5, 2.0)
        elif isinstance(module, nn.Linear):
            normal(module.weight, 1 / math.sqrt(module.in_features))
            normal(module.bias, 0.1)
        elif isinstance(module, (nn.LayerNorm, nn.GroupNorm)):
            uniform(module.weight, 0.6, 1.4)
            normal(module.bias, 0.1)
        elif isinstance(module, nn.Embedding):
            normal(module.weight, 1.0)

    # The last norm of a residual branch is small, so that a hundred layers don't blow up.
    for block in model.model.backbone.modules():
        if isinstance(block, (timm_resnet.BasicBlock, timm_resnet.Bottleneck)):
            last = block.bn3 if isinstance(block, timm_resnet.Bottleneck) else block.bn2
            uniform(last.weight, 0.2, 0.5)

    d_model = model.config.d_model
    normal(model.model.level_embed, 0.5)
    for module in model.modules():
        if isinstance(module, modeling.DeformableDetrMultiscaleDeformableAttention):
            # Offsets of several pixels that differ by query; weights far from uniform. What a mean over samples loses in
            # variance the output projection gives back, or all queries would become alike from layer to layer.
            normal(module.sampling_offsets.weight, 1.5 / math.sqrt(d_model))
            normal(module.sampling_offsets.bias, 2.0)
            normal(module.attention_weights.weight, 1.0 / math.sqrt(d_model))
            normal(module.attention_weights.bias, 0.5)
            module.output_proj.weight.mul_(1.25)
        elif isinstance(module, modeling.DeformableDetrSelfAttention):
            module.q_proj.weight.mul_(1.5)
            module.k_proj.weight.mul_(1.5)
        elif isinstance(module, modeling.DeformableDetrMLP):
            module.fc2.weight.mul_(0.5)
    if not model.config.two_stage:
        normal(model.model.reference_points.weight, 1.2 / math.sqrt(d_model))
        normal(model.model.reference_points.bias, 0.1)
    for head in dict.fromkeys(model.class_embed):
        normal(head.weight, 1.5 / math.sqrt(d_model))
        normal(head.bias, 0.7, mean=-4.0)
    # Refinement adds up one change a layer.
    deltas = model.config.decoder_layers if model.config.with_box_refine else 1
    for head in dict.fromkeys(model.bbox_embed):
        for layer in head.layers:
            normal(layer.weight, math.sqrt(2 / d_model))
            # What comes out of a ReLU is positive: without this all queries would share one large shift.
            layer.weight -= layer.weight.mean(1, keepdim=True)
        last = head.layers[-1]
        last.weight.mul_(1.5 / deltas)
        normal(last.bias, 0.2 / deltas)
        last.bias[2:] -= 1.0 / deltas
    if model.config.two_stage:
        # Invalid proposals share one logit. Keep it low, or ties decide which of them are taken.
        constant = model.model.enc_output_norm(model.model.enc_output.bias)
        row = model.class_embed[-1].weight[0]
        if row @ constant > 0:
            row.neg_()


def smooth_noise(height, width, seed=1):
    """[1, 3, height, width]: random colours that change over some twenty pixels, about as large as normalised photos."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 3, height // 20 + 2, width // 20 + 2, generator=generator, dtype=torch.float64)
    fine = torch.randn(1, 3, height, width, generator=generator, dtype=torch.float64)
    return (nn.functional.interpolate(coarse, size=(height, width), mode="bicubic") + 0.2 * fine).float()


@torch.no_grad()
def calibrate_backbone(model):
    """Moves each batch norm's mean near its input's, and scales its convolution to its variance, on one noise image.

    Without this a random network's channels hold a large constant and hardly anything that depends on the place.
    In float64, so that the rounded results are the same on every run and machine.
    """
    model.double()
    generator = torch.Generator().manual_seed(2)
    latest_convolution = []
    handles = []

    def remember(module, inputs, output):
        latest_convolution[:] = [module]

    def adapt(module, inputs):
        value = inputs[0]
        variance, mean = torch.var_mean(value, (0, 2, 3))
        scale = (module.running_var.mean() / variance.mean()).sqrt()
        latest_convolution[0].weight.mul_(scale)
        jitter = torch.randn(mean.shape, generator=generator) * 0.2
        module.running_mean.copy_(mean * scale + jitter)
        return (value * scale,)

    for module in model.model.backbone.modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(remember))
        elif isinstance(module, modeling.DeformableDetrFrozenBatchNorm2d):
            handles.append(module.register_forward_pre_hook(adapt))
    model.model.backbone.model(smooth_noise(256, 320).double())
    for handle in handles:
        handle.remove()
    model.float()


@torch.no_grad()
def run(model, pixel_values, pixel_mask=None):
    """The tensors of `detect --dump` for a batch, and for two-stage models the first stage's scores.

    pixel_values: [N, 3, H, W]; pixel_mask: [N, H, W], 1 where there is image.
    Returns feature.l [N, d, h, w], memory [N, S, d], hidden [layers, N, Q, d], logits [N, Q, C], pred_boxes [N, Q, 4];
    two-stage also proposal_scores [N, S].
    """
    results = {}
    hooks = [
        projection.register_forward_hook(
            lambda module, inputs, output, level=level: results.__setitem__(f"feature.{level}", output))
        for level, projection in enumerate(model.model.input_proj)
    ]
    try:
        output = model(pixel_values=pixel_values, pixel_mask=pixel_mask)
    finally:
        for hook in hooks:
            hook.remove()
    results["memory"] = output.encoder_last_hidden_state
    results["hidden"] = output.intermediate_hidden_states.transpose(0, 1)
    results["logits"] = output.logits
    results["pred_boxes"] = output.pred_boxes
    if model.config.two_stage:
        results["proposal_scores"] = output.enc_outputs_class[..., 0]
    return {name: tensor.contiguous().clone() for name, tensor in results.items()}


def last_attention(model, pixel_values, pixel_mask=None):
    """Where the last decoder layer looks, in 0...1 of each image of a batch.

    Returns references [N, Q, 2 or 4], locations [N, Q, heads, levels, points, 2], weights [N, Q, heads, levels, points].
    """
    calls = {}
    cross_attention = model.model.decoder.layers[-1].encoder_attn
    hooks = [
        model.model.decoder.register_forward_pre_hook(
            lambda module, inputs, named: calls.update(valid_ratios=named["valid_ratios"]), with_kwargs=True),
        cross_attention.register_forward_pre_hook(
            lambda module, inputs, named: calls.update(references=named["reference_points"]), with_kwargs=True),
        cross_attention.attn.register_forward_pre_hook(
            lambda module, inputs: calls.update(locations=inputs[4], weights=inputs[5])),
    ]
    try:
        model(pixel_values=pixel_values, pixel_mask=pixel_mask)
    finally:
        for hook in hooks:
            hook.remove()
    # Both are in 0...1 of the padded levels: [N, levels, 2] of each is image.
    ratios = calls["valid_ratios"]
    references = calls["references"][:, :, 0]
    results = {
        "references": references / ratios[:, None, 0].repeat(1, 1, references.shape[-1] // 2),
        "locations": calls["locations"] / ratios[:, None, None, :, None],
        "weights": calls["weights"],
    }
    return {name: tensor.contiguous().clone() for name, tensor in results.items()}


def detections(logits, boxes, width, height, count=100):
    """[(class, score, [x_min, y_min, x_max, y_max] in pixels)], best first, of one image's [Q, C] and [Q, 4].

    Source: models/deformable_detr.py (PostProcess) of fundamentalvision/Deformable-DETR.
    """
    classes = logits.shape[-1]
    scores, indices = logits.sigmoid().flatten().topk(min(count, logits.numel()))
    center_x, center_y, box_width, box_height = boxes.unbind(-1)
    corners = torch.stack((
        center_x - 0.5 * box_width, center_y - 0.5 * box_height,
        center_x + 0.5 * box_width, center_y + 0.5 * box_height), -1)
    corners = corners[indices // classes] * torch.tensor([width, height, width, height], dtype=boxes.dtype)
    return list(zip((indices % classes).tolist(), scores.tolist(), corners.tolist()))


def relative_error(value, reference):
    """The largest absolute difference over the largest absolute reference value."""
    value, reference = value.double(), reference.double()
    return ((value - reference).abs().max() / reference.abs().max().clamp_min(1e-30)).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", default="400x533", help="HxW of the random image")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    pixels = smooth_noise(height, width, seed=3)
    for variant in options.variants:
        model = build(variant, options.backbone, options.seed)
        single = run(model, pixels)
        double = run(model.double(), pixels.double())
        noise = {name: relative_error(single[name], double[name]) for name in double}
        logits, boxes = double["logits"], double["pred_boxes"]
        print(f"{variant}: noise " + ", ".join(f"{name} {error:.1e}" for name, error in noise.items()))
        print("  feature over places", [round(double[n].std((2,3)).mean().item(),2) for n in double if n.startswith("feature")])
        print(f"  logits {logits.mean():.2f} +- {logits.std():.2f}, largest {logits.abs().max():.2f},"
              f" spread over queries {logits.std(1).mean():.2f}; above 0: {(logits > 0).sum().item()};"
              f" boxes mean {[round(x, 2) for x in boxes.mean((0, 1)).tolist()]}"
              f" spread {[round(x, 2) for x in boxes.std(1)[0].tolist()]}; memory {double['memory'].std():.2f}, over places {double['memory'].std(1).mean():.2f};"
              f" hidden over queries {[round(x, 2) for x in double['hidden'].std(2).mean((1, 2)).tolist()]}")


if __name__ == "__main__":
    main()
