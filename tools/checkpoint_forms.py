"""Saves a reference model in every form in which Deformable DETR checkpoints are found in the wild.

hugging-face-v5        the names of transformers 5: model.safetensors and config.json. `save_pretrained` writes them when told
                       save_original_format=False; by itself transformers 5 writes the names of version 4
hugging-face-v4        the names of transformers 4: model.safetensors and config.json; heads only once
hugging-face-v4-bare   the same tensors with no config.json beside them
pytorch-bin            pytorch_model.bin of transformers 4: every alias of the heads, and batch norms' counters
official-zip           the authors' names in a .pth of today's torch.save
official-legacy        the same in the stream that torch before 1.6 wrote, with what a training run leaves beside it

Names: models/deformable_detr.py of fundamentalvision/Deformable-DETR, and transformers' conversion script
convert_deformable_detr_to_pytorch.py.
"""

import argparse
import json
import os
import re

import torch
from safetensors.torch import save_file

FORMS = (
    "hugging-face-v5", "hugging-face-v4", "hugging-face-v4-bare", "pytorch-bin", "official-zip", "official-legacy")


def version_4_name(name):
    """The name that transformers 4 gave the tensor that transformers 5 calls `name`."""
    name = name.replace("model.backbone.model.", "model.backbone.conv_encoder.model.")
    name = name.replace(".self_attn.o_proj.", ".self_attn.out_proj.")
    return re.sub(r"(layers\.\d+)\.mlp\.(fc[12])\.", r"\1.\2.", name)


def official_state(model):
    """The model's tensors under the authors' names, heads with all their aliases."""
    return official_names({name: tensor.detach().clone() for name, tensor in model.state_dict().items()})


def official_names(state):
    """A state by transformers' names under the authors' names, the projections of self-attention joined."""
    official = {}
    for name, tensor in state.items():
        name = name.removeprefix("model.")
        if name.startswith("backbone.model."):
            official["backbone.0.body." + name.removeprefix("backbone.model.")] = tensor
        elif name.startswith("input_proj."):
            official[name] = tensor
        elif name.startswith(("class_embed.", "bbox_embed.")):
            official[name] = tensor
        elif name == "query_position_embeddings.weight":
            official["query_embed.weight"] = tensor
        else:
            official["transformer." + _official_transformer_name(name)] = tensor
    return _with_joined_projections(official)


def _official_transformer_name(name):
    name = re.sub(r"\.mlp\.fc([12])\.", r".linear\1.", name)
    name = name.replace(".encoder_attn.", ".cross_attn.").replace(".self_attn.o_proj.", ".self_attn.out_proj.")
    if name.startswith("encoder."):
        return name.replace("self_attn_layer_norm", "norm1").replace("final_layer_norm", "norm2")
    name = name.replace("encoder_attn_layer_norm", "norm1").replace("self_attn_layer_norm", "norm2")
    return name.replace("final_layer_norm", "norm3")


def _with_joined_projections(official):
    """q, k and v of the decoder's self-attention as torch's MultiheadAttention keeps them: one matrix, one bias."""
    result = {}
    for name, tensor in official.items():
        match = re.fullmatch(r"(transformer\.decoder\.layers\.\d+\.self_attn)\.([qkv])_proj\.(weight|bias)", name)
        if not match:
            result[name] = tensor
        elif match[2] == "q":
            parts = [official[f"{match[1]}.{part}_proj.{match[3]}"] for part in "qkv"]
            result[f"{match[1]}.in_proj_{match[3]}"] = torch.cat(parts)
    return result


def official_arguments(model, backbone):
    """The `args` of the authors' main.py, as far as they describe the model, with a few that don't."""
    config = model.config
    return argparse.Namespace(
        lr=2e-4, lr_backbone_names=["backbone.0"], lr_backbone=2e-5, batch_size=2, weight_decay=1e-4, epochs=50,
        with_box_refine=config.with_box_refine, two_stage=config.two_stage, frozen_weights=None, backbone=backbone,
        dilation=config.dilation, position_embedding="sine", position_embedding_scale=6.283185307179586,
        num_feature_levels=config.num_feature_levels, enc_layers=config.encoder_layers,
        dec_layers=config.decoder_layers, dim_feedforward=config.encoder_ffn_dim, hidden_dim=config.d_model,
        dropout=0.1, nheads=config.encoder_attention_heads, num_queries=config.num_queries,
        dec_n_points=config.decoder_n_points, enc_n_points=config.encoder_n_points, masks=False, aux_loss=True,
        dataset_file="coco", coco_path="./data/coco", output_dir="exps/a", device="cuda", seed=42, resume="", world_size=8)


def _training_checkpoint(model, backbone):
    state = official_state(model)
    first = next(iter(state.values()))
    # Left there by a counter of operations; readers ignore both.
    state["backbone.0.body.conv1.total_ops"] = torch.zeros(1, dtype=torch.float64)
    state["backbone.0.body.conv1.total_params"] = torch.zeros(1, dtype=torch.float64)
    return {
        "model": state,
        "optimizer": {
            "state": {0: {"step": 7, "exp_avg": torch.zeros_like(first), "exp_avg_sq": torch.ones_like(first)}},
            "param_groups": [{"lr": 2e-5, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-4, "params": [0]}],
        },
        "lr_scheduler": {"step_size": 40, "gamma": 0.1, "base_lrs": [2e-4], "last_epoch": 49, "_step_count": 50},
        "epoch": 49,
        "args": official_arguments(model, backbone),
    }


def _version_4_safetensors(model):
    """transformers 4's tensors, each shared one once: under the decoder's name where the decoder has it."""
    tensors, kept = {}, set()
    names = sorted(model.state_dict(), key=lambda name: (not name.startswith("model."), name))
    for name in names:
        tensor = model.state_dict()[name]
        if tensor.data_ptr() not in kept:
            kept.add(tensor.data_ptr())
            tensors[version_4_name(name)] = tensor.detach().contiguous()
    return tensors


def _version_4_configuration(model, backbone):
    config = model.config
    fields = (
        "d_model encoder_layers decoder_layers encoder_attention_heads decoder_attention_heads encoder_ffn_dim"
        " decoder_ffn_dim encoder_n_points decoder_n_points num_feature_levels num_queries two_stage"
        " two_stage_num_proposals with_box_refine dilation position_embedding_type activation_function").split()
    return {
        "model_type": "deformable_detr", "architectures": ["DeformableDetrForObjectDetection"],
        "transformers_version": "4.46.0", "backbone": backbone, "use_timm_backbone": True,
        "id2label": {str(index): f"LABEL_{index}" for index in range(config.num_labels)},
        "label2id": {f"LABEL_{index}": index for index in range(config.num_labels)},
    } | {field: getattr(config, field) for field in fields}


def save(model, form, folder, backbone="resnet50"):
    """Writes `model` into the empty `folder` in one of FORMS; returns the path of the weights.

    backbone: its timm name, which the configuration records.
    """
    os.makedirs(folder, exist_ok=True)
    if form == "hugging-face-v5":
        model.save_pretrained(folder, save_original_format=False)
        return os.path.join(folder, "model.safetensors")
    if form in ("hugging-face-v4", "hugging-face-v4-bare"):
        path = os.path.join(folder, "model.safetensors")
        save_file(_version_4_safetensors(model), path, metadata={"format": "pt"})
        if form == "hugging-face-v4":
            with open(os.path.join(folder, "config.json"), "w") as file:
                json.dump(_version_4_configuration(model, backbone), file, indent=2)
        return path
    if form == "pytorch-bin":
        path = os.path.join(folder, "pytorch_model.bin")
        state = {version_4_name(name): tensor for name, tensor in model.state_dict().items()}
        for name in [name for name in state if name.endswith("running_mean")]:
            state[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(0)
        torch.save(state, path)
        return path
    path = os.path.join(folder, "checkpoint.pth")
    if form == "official-zip":
        torch.save({"model": official_state(model), "args": official_arguments(model, backbone)}, path)
    elif form == "official-legacy":
        torch.save(_training_checkpoint(model, backbone), path, _use_new_zipfile_serialization=False)
    else:
        raise ValueError(f"unknown checkpoint form {form}; known: {', '.join(FORMS)}")
    return path
