"""Writes the golden gradients of Tests/DeformDETRTests: what autograd gives for the tiny models of golden_model.py.

    python tools/golden_training.py [Tests/DeformDETRTests/Golden/gradients]

The weights and the first image are those of `Golden/<case>.safetensors`. A case of one image gets a second one: the first,
mirrored, without its last 12 columns and 10 rows, so that every batch is padded. Each case is one safetensors file:
  output.logits [layers, N, Q, C], output.boxes [layers, N, Q, 4]  what each decoder layer's heads give
  output.proposals.logits [N, S, C], output.proposals.boxes [N, S, 4]  two-stage: what the encoder's head gives
  upstream.*  a random gradient of each output
  gradient.NAME  by the authors' names: the gradient of every parameter for them; of tensors with more than 1,000 elements
                 about a fifth, as `thinned` chooses them. q, k and v of self-attention are joined; shared heads appear
                 once
Computed in float64 in evaluation mode (no dropout) and rounded to float32.
"""

import os
import platform
import sys

import timm
import torch
import transformers
from safetensors.torch import save_file

from checkpoint_forms import official_names
from golden_model import CASES, clear_model

NAMES = ("base-bottleneck", "five-levels-basic", "single-scale", "single-scale-dc5", "refine", "padded-batch-two-stage")


def padded_batch(pixels, mask):
    """A batch of at least two images of different sizes."""
    if len(pixels) > 1:
        return pixels, mask
    height, width = pixels.shape[2] - 10, pixels.shape[3] - 12
    second, second_mask = torch.zeros_like(pixels), torch.zeros_like(mask)
    second[:, :, :height, :width] = pixels.flip(3)[:, :, :height, :width]
    second_mask[:, :height, :width] = 1
    return torch.cat([pixels, second]), torch.cat([mask, second_mask])


def outputs(model, pixels, mask):
    """Every layer's logits and boxes, with their graph."""
    captured = {}

    def capture(logits, labels, device, boxes, config, layer_logits, layer_boxes):
        captured.update(logits=layer_logits, boxes=layer_boxes)
        return logits.sum(), {}, None

    model.loss_function = capture
    result = model(pixel_values=pixels, pixel_mask=mask, labels=[{}] * len(pixels))
    if model.config.two_stage:
        captured["proposals.logits"] = result.enc_outputs_class
        captured["proposals.boxes"] = result.enc_outputs_coord_logits.sigmoid()
    return captured


def thinned(gradient):
    """About a fifth of a large tensor's elements, flat.

    Multiples of the golden ratio (Knuth's multiplicative hash) fall into step with no axis: a fixed stride would miss taps
    of kernels.
    """
    if gradient.numel() <= 1000:
        return gradient
    hashes = torch.arange(gradient.numel()) * 2654435761 % 2**32
    return gradient.flatten()[hashes < 2**32 // 5]


def golden(case):
    model, pixels, mask, _ = clear_model(case)
    pixels, mask = padded_batch(pixels, mask)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    captured = outputs(model, pixels.double(), mask.double())
    generator = torch.Generator().manual_seed(3)
    upstream = {name: torch.randn(value.shape, generator=generator) for name, value in captured.items()}
    sum((value * upstream[name].double()).sum() for name, value in captured.items()).backward()
    # named_parameters gives a shared parameter once, under its first name.
    state = {name: parameter.grad for name, parameter in model.named_parameters()}
    # The decoder's copies of heads are the heads.
    state = {name.removeprefix("model.decoder.") if "_embed." in name else name: value for name, value in state.items()}
    tensors = {f"gradient.{name}": thinned(value) for name, value in official_names(state).items()}
    tensors |= {f"upstream.{name}": value for name, value in upstream.items()}
    tensors |= {f"output.{name}": value.detach() for name, value in captured.items()}
    return {name: value.float().contiguous() for name, value in tensors.items()}


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "Tests", "DeformDETRTests", "Golden", "gradients")
    folder = sys.argv[1] if len(sys.argv) > 1 else default
    os.makedirs(folder, exist_ok=True)
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}, timm {timm.__version__}," \
               f" Python {platform.python_version()}"
    for case in (case for case in CASES if case.name in NAMES):
        path = os.path.join(folder, f"{case.name}.safetensors")
        tensors = golden(case)
        save_file(tensors, path, metadata={"versions": versions})
        smallest = min((value.abs().max().item(), name) for name, value in tensors.items())
        print(f"{case.name}: {os.path.getsize(path) // 1000} kB, smallest gradient {smallest}")


if __name__ == "__main__":
    main()
