"""Writes the cases of Tests/BackboneTests: small ResNets, forward and backward, against PyTorch's autograd.

    python tools/golden_backbone_gradients.py [Tests/BackboneTests/Golden]

Each case is one safetensors file, `resnet-<name>.safetensors`, float32, channels last:
  the network's state dict under torchvision's names, without num_batches_tracked
  images [N, H, W, 3]; expected.feature.<i> and feature_gradient.<i> [N, H', W', C], i from the largest map
  expected.gradient.<parameter>, what the feature gradients lead to; of frozen norms there is none
  expected.statistics.<buffer>, the running statistics after the pass, where norms train
and in `__metadata__` "configuration" as JSON: {block, depths, stemWidth, widths, dilatesLastStage, normalization, taps, versions}.

The modules are torchvision's (resnet.py, "v1.5"; replace_stride_with_dilation for the dilated stage), written here because their
widths must be small. Every parameter and statistic is random. Expected values are computed in float64 and rounded to float32.
Gradients jump where a ReLU's input crosses zero or two elements of a pooling window change order: a seed that puts one near is
passed over, as is one that leaves a parameter without influence (a norm takes out the bias of the norm before it unless a ReLU or
padding lies between them).
"""

import dataclasses
import json
import os
import platform
import sys
from importlib.metadata import version

import torch
from safetensors.torch import save_file
from torch import nn

# How near a kink nothing may come: some tens of float32's rounding errors there.
MARGIN = 3e-6
# The largest gradient that a parameter must have at least: others have some 10.
LEAST_GRADIENT = 0.03
EXPANSION = {"basic": 1, "bottleneck": 4}


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    block: str
    depths: tuple
    widths: tuple
    normalization: str  # "frozen": running statistics and no gradients of norms; "batch": training mode
    stemWidth: int = 6
    dilatesLastStage: bool = False
    taps: int = 2
    images: tuple = (2, 19, 27)

    def configuration(self):
        fields = dataclasses.asdict(self)
        del fields["name"], fields["images"]
        return fields


CASES = [
    Case("basic-frozen", "basic", (1, 2, 1), (6, 5, 7), "frozen"),
    Case("basic-batch", "basic", (1, 2, 1), (6, 5, 7), "batch", taps=3),
    Case("bottleneck-frozen", "bottleneck", (2, 1, 2), (3, 4, 3), "frozen", taps=3),
    Case("bottleneck-batch", "bottleneck", (1, 2, 1), (3, 2, 4), "batch"),
    Case("dilated-frozen", "bottleneck", (1, 1, 2), (2, 3, 4), "frozen", dilatesLastStage=True, images=(1, 27, 22)),
    Case("dilated-batch", "bottleneck", (1, 1, 2), (2, 3, 4), "batch", dilatesLastStage=True, stemWidth=8, taps=1, images=(2, 23, 18)),
]


class Block(nn.Module):
    def __init__(self, kind, channels, width, stride, dilation, projects):
        super().__init__()
        outputs = width * EXPANSION[kind]

        def spatial(inputs, outputs, stride):
            return nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)

        if kind == "basic":
            layers = [spatial(channels, width, stride), spatial(width, outputs, 1)]
        else:
            layers = [
                nn.Conv2d(channels, width, 1, bias=False), spatial(width, width, stride), nn.Conv2d(width, outputs, 1, bias=False)]
        self.count = len(layers)
        for index, layer in enumerate(layers, 1):
            setattr(self, f"conv{index}", layer)
            setattr(self, f"bn{index}", nn.BatchNorm2d(layer.out_channels))
        self.downsample = nn.Sequential(
            nn.Conv2d(channels, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)) if projects else None
        self.relu = nn.ReLU()

    def forward(self, x):
        hidden = x
        for index in range(1, self.count + 1):
            hidden = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(hidden))
            if index < self.count:
                hidden = self.relu(hidden)
        return self.relu(hidden + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, case):
        super().__init__()
        self.conv1 = nn.Conv2d(3, case.stemWidth, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(case.stemWidth)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.stages = len(case.depths)
        channels = case.stemWidth
        for stage, (depth, width) in enumerate(zip(case.depths, case.widths)):
            dilated = case.dilatesLastStage and stage == self.stages - 1
            stride = 1 if stage == 0 or dilated else 2
            blocks = []
            for index in range(depth):
                outputs = width * EXPANSION[case.block]
                first = index == 0
                blocks.append(Block(
                    case.block, channels, width, stride if first else 1, 2 if dilated and not first else 1,
                    first and (stride != 1 or channels != outputs)))
                channels = outputs
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        features = []
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
            features.append(x)
        return features


def build(case, generator):
    """The network with every parameter and statistic random."""
    network = ResNet(case)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / module.weight[0].numel()) ** 0.5)
            elif isinstance(module, nn.BatchNorm2d):
                for tensor, least, largest in [
                        (module.weight, 0.5, 1.5), (module.bias, -0.3, 0.6), (module.running_mean, -0.3, 0.3),
                        (module.running_var, 0.4, 1.8)]:
                    tensor.copy_(least + (largest - least) * torch.rand(tensor.shape, generator=generator))
    network.double().train(case.normalization == "batch")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for parameter in module.parameters():
                parameter.requires_grad_(case.normalization == "batch")
    return network


def watch_kinks(network):
    """A list that gets, in a forward pass, how near each ReLU and the pooling come to a kink."""
    distances = []

    def pooled(module, inputs, output):
        windows = nn.functional.unfold(
            nn.functional.pad(inputs[0], (1, 1, 1, 1), value=-1), 3, stride=2).unflatten(1, (inputs[0].shape[1], 9))
        first, second = windows.topk(2, dim=2).values.unbind(2)
        distances.append((first - second)[first > 0].min().item())

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda module, inputs, output: distances.append(inputs[0].abs().min().item()))
        elif isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(pooled)
    return distances


def channels_last(tensor):
    return tensor.detach().movedim(1, -1)


def golden(case, seed):
    """The tensors of a case, or None if the seed comes near a kink."""
    generator = torch.Generator().manual_seed(seed)
    network = build(case, generator)
    images, height, width = case.images
    batch = torch.randn((images, 3, height, width), generator=generator).double()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items() if "num_batches" not in name}
    distances = watch_kinks(network)
    features = network(batch)[-case.taps:]
    if min(distances) < MARGIN:
        return None
    gradients = [torch.randn(feature.shape, generator=generator).double() for feature in features]
    torch.autograd.backward(features, gradients)

    weakest = min(parameter.grad.abs().max() for parameter in network.parameters() if parameter.grad is not None)
    if weakest < LEAST_GRADIENT:
        return None

    tensors = state | {"images": channels_last(batch)}
    for index, (feature, gradient) in enumerate(zip(features, gradients)):
        tensors[f"expected.feature.{index}"] = channels_last(feature)
        tensors[f"feature_gradient.{index}"] = channels_last(gradient)
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            tensors[f"expected.gradient.{name}"] = parameter.grad
    if case.normalization == "batch":
        for name, buffer in network.named_buffers():
            if "running" in name:
                tensors[f"expected.statistics.{name}"] = buffer
    return {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "Tests/BackboneTests/Golden"
    versions = {"torch": version("torch"), "python": platform.python_version()}
    os.makedirs(folder, exist_ok=True)
    for case in CASES:
        seed, tensors = next((seed, tensors) for seed in range(1000) if (tensors := golden(case, seed)))
        path = os.path.join(folder, f"resnet-{case.name}.safetensors")
        configuration = case.configuration() | {"seed": seed, "versions": versions}
        save_file(tensors, path, metadata={"configuration": json.dumps(configuration)})
        print(path, os.path.getsize(path), "bytes, seed", seed)


if __name__ == "__main__":
    main()
