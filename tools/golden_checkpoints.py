"""Writes the golden checkpoints of Tests/CheckpointTests and Tests/DeformDETRTests.

One tiny Deformable DETR with random weights, saved in every form that people have. Versions: Python 3.11, torch 2.15.0,
transformers 5.23.0, safetensors 0.8.0.

    python tools/golden_checkpoints.py [REPOSITORY]
"""

import argparse
import collections
import json
import pathlib
import re
import shutil
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection, ResNetConfig

SIZES = dict(
    d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
    encoder_ffn_dim=4, decoder_ffn_dim=4, encoder_n_points=2, decoder_n_points=1, num_queries=5, num_feature_levels=2,
    num_labels=3, id2label={0: "N/A", 1: "red cell", 2: "LABEL_2"}, label2id={"N/A": 0, "red cell": 1, "LABEL_2": 2},
)


def build(**options):
    """A model on transformers' own ResNet, whose widths can be small, with every number drawn at random."""
    torch.manual_seed(7)
    backbone = ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 2], layer_type="bottleneck", out_features=["stage2"])
    config = DeformableDetrConfig(use_timm_backbone=False, backbone=None, backbone_config=backbone, **{**SIZES, **options})
    model = DeformableDetrForObjectDetection(config).eval()
    with torch.no_grad():
        for name, value in list(model.named_parameters()) + list(model.named_buffers()):
            if value.is_floating_point():
                value.copy_(torch.randn_like(value) * 0.1)
            if name.endswith("running_var"):
                value.copy_(torch.rand_like(value) + 0.5)
            # Exact in 16 bits, so that most of the files can be half as large.
            value.copy_(value.half())
    return model


def to_torchvision_backbone(name):
    """transformers' ResNet names to those of torchvision and timm."""
    name = re.sub(r"embedder\.embedder\.convolution", "conv1", name)
    name = re.sub(r"embedder\.embedder\.normalization", "bn1", name)

    def block(match):
        stage, layer, part, kind, rest = match.groups()
        prefix = f"layer{int(stage) + 1}.{layer}."
        if part == "shortcut":
            return prefix + f"downsample.{0 if kind == 'convolution' else 1}.{rest}"
        return prefix + f"{'conv' if kind == 'convolution' else 'bn'}{int(part.split('.')[1]) + 1}.{rest}"

    return re.sub(
        r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(shortcut|layer\.\d+)\.(convolution|normalization)\.(.*)", block, name)


def to_v5(name):
    """What conversion_mapping.py of transformers 5.23.0 does to a name of version 4."""
    name = name.replace("backbone.conv_encoder", "backbone")
    name = name.replace("self_attn.out_proj", "self_attn.o_proj")
    return re.sub(r"layers\.(\d+)\.(fc[12])", r"layers.\1.mlp.\2", name)


def to_official(state, config):
    """The authors' names, the other way round than convert_deformable_detr_to_pytorch.py."""
    result = collections.OrderedDict()
    for name, value in state.items():
        if re.search(r"self_attn\.[kv]_proj", name):
            continue
        if re.search(r"decoder.*self_attn\.q_proj", name):
            value = torch.cat([state[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv"])
            name = re.sub(r"q_proj\.(weight|bias)", r"in_proj_\1", name)
        name = name.removeprefix("model.")
        if name.startswith("backbone."):
            name = "backbone.0.body." + to_torchvision_backbone(name.removeprefix("backbone.conv_encoder.model."))
        elif name.startswith("query_position"):
            name = "query_embed.weight"
        elif not name.startswith(("input_proj", "class_embed", "bbox_embed")):
            norms = (
                {"encoder_attn_layer_norm": "norm1", "self_attn_layer_norm": "norm2", "final_layer_norm": "norm3"}
                if name.startswith("decoder") else {"self_attn_layer_norm": "norm1", "final_layer_norm": "norm2"})
            for old, new in {**norms, "encoder_attn.": "cross_attn.", "fc1": "linear1", "fc2": "linear2"}.items():
                name = name.replace(old, new)
            name = "transformer." + name
        result[name] = value
    # The authors' modules share heads under several names; torch.save keeps them shared, as here.
    for name, value in list(result.items()):
        if name.startswith("transformer.decoder.") and "_embed." in name:
            result[name.removeprefix("transformer.decoder.")] = value
        elif name.startswith(("class_embed.0", "bbox_embed.0")) and not config.with_box_refine:
            for layer in range(1, config.decoder_layers):
                result[name.replace(".0.", f".{layer}.", 1)] = value
        elif name.startswith("class_embed.0"):
            for layer in range(1, config.decoder_layers):
                result[name.replace(".0.", f".{layer}.", 1)] = value.clone() + layer
    for name in [name for name in result if name.endswith("running_var")]:
        result[name.replace("running_var", "num_batches_tracked")] = torch.tensor(12)
    return result


def training_checkpoint(state, config):
    """The top dictionary of the authors' main.py, with the state of a real optimizer and schedule."""
    weight = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = torch.optim.AdamW([{"params": [weight], "lr": 2e-5}], lr=2e-4, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 40)
    weight.sum().backward()
    optimizer.step()
    arguments = argparse.Namespace(
        lr=2e-4, lr_backbone_names=["backbone.0"], lr_linear_proj_mult=0.1, batch_size=2, clip_max_norm=0.1, sgd=False,
        with_box_refine=config.with_box_refine, two_stage=config.two_stage, frozen_weights=None, backbone="resnet50",
        dilation=config.dilation, position_embedding="sine", position_embedding_scale=6.283185307179586,
        num_feature_levels=config.num_feature_levels, enc_layers=config.encoder_layers, dec_layers=config.decoder_layers,
        dim_feedforward=config.encoder_ffn_dim, hidden_dim=config.d_model, dropout=0.1,
        nheads=config.encoder_attention_heads, num_queries=config.num_queries, dec_n_points=config.decoder_n_points,
        enc_n_points=config.encoder_n_points, masks=False, device="cuda", seed=42)
    return {"model": state, "optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict(), "epoch": 49,
            "args": arguments}


def halved(state):
    """The same numbers in 16 bits. Tensors that share memory still do."""
    done = {}
    return collections.OrderedDict(
        (name, done.setdefault((value.data_ptr(), value.shape), value.half()) if value.is_floating_point() else value)
        for name, value in state.items())


def golden_of_models(folder):
    """One base model in all forms, and the refined and two-stage ones in two."""
    for old in folder.glob("*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for variant, options in [("base", {}), ("refined", dict(with_box_refine=True)),
                             ("two-stage", dict(with_box_refine=True, two_stage=True, two_stage_num_proposals=7))]:
        model = build(**options)
        with tempfile.TemporaryDirectory() as temporary:
            model.save_pretrained(temporary)
            v4 = load_file(f"{temporary}/model.safetensors")
            target = folder / variant
            target.mkdir(parents=True)
            shutil.copy(f"{temporary}/config.json", target / "config.json")
        official = to_official(v4, model.config)
        save_file(v4 if variant == "base" else halved(v4), target / "v4.safetensors", metadata={"format": "pt"})
        torch.save(training_checkpoint(halved(official), model.config), target / "zip.pth")
        if variant != "base":
            continue
        # Every value of the model under its official name: what reading any of the files must give.
        expected = {
            name: value.half() for name, value in official.items()
            if "num_batches" not in name and not re.match(r"(class|bbox)_embed\.[1-9]", name)}
        save_file(expected, target / "expected.safetensors")
        torch.save(training_checkpoint(official, model.config), target / "legacy.pth", _use_new_zipfile_serialization=False)
        save_file({to_v5(n): v for n, v in halved(v4).items()}, target / "v5.safetensors", metadata={"format": "pt"})
        backbone = "model.backbone.conv_encoder.model."
        timm = {
            backbone + to_torchvision_backbone(name.removeprefix(backbone)) if name.startswith(backbone) else name: value
            for name, value in halved(v4).items()}
        save_file(timm, target / "timm.safetensors", metadata={"format": "pt"})
        # transformers 4 wrote the shared heads under every name.
        state = halved(v4)
        for name in list(state):
            if name.startswith(("class_embed.0", "bbox_embed.0")):
                state[name.replace(".0.", ".1.", 1)] = state[name]
        torch.save(state, target / "pytorch_model.bin")


def golden_of_formats(folder):
    """Every number format and layout, with the values that reading must give."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    values = torch.randn(4, 3)
    whole = torch.tensor([[0, 1, 2], [3, 100, 127]])
    halves = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, -6.1e-5, 0.333])
    tensors = {"f32": values, "f16": halves.half(), "bf16": values.bfloat16(), "f64": values.double(), "i64": whole,
               "i32": whole.int(), "i16": whole.short(), "i8": whole.char(), "u8": whole.byte(), "bool": whole > 1,
               "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}
    save_file(tensors, folder / "types.safetensors", metadata={"note": "a \"quoted\" line\nand \u00e9"})
    cube = torch.arange(24.0).reshape(2, 3, 4)
    layouts = {**tensors, "transposed": values.t(), "row": values[1:2], "column": values[:, 1], "steps": cube[:, ::2, 1:],
               "permuted": cube.permute(2, 0, 1), "parameter": torch.nn.Parameter(values.clone()), "shared": values}
    torch.save(layouts, folder / "layouts-zip.pth")
    torch.save(layouts, folder / "layouts-legacy.pth", _use_new_zipfile_serialization=False)
    for protocol in (3, 4, 5):
        torch.save({"state_dict": layouts}, folder / f"layouts-protocol{protocol}.pth", pickle_protocol=protocol)
    expected = {name: value.detach().float().contiguous().clone() for name, value in layouts.items()}
    save_file(expected, folder / "layouts-expected.safetensors")


if __name__ == "__main__":
    repository = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    golden_of_formats(repository / "Tests/CheckpointTests/Golden")
    golden_of_models(repository / "Tests/DeformDETRTests/Golden/checkpoints")
