"""Trains the model of `detect train` in PyTorch for some minutes, and evaluates it: the peer of a training of ours.

    python tools/train_torch.py --detect .build/release/detect --backbone resnet18.safetensors --minutes 90 \\
        --images IMAGES --annotations TRAIN.json --test-annotations TEST.json [the options of `detect train`]

transformers' DeformableDetrForObjectDetection in eager PyTorch, f32, as the published program trains it: the published
loss (golden_training_losses.py; transformers' own differs), AdamW in the published groups, clipping, dropout. The images
of a batch pass the network one by one, as in ours: without padding, and with gradients that add up to the batch's.
--joined passes them as one, padded and masked, as the published program does. Which is faster depends on the machine and
its load: try each for a minute, and give PyTorch the better one. Options that `detect train` has mean the same here, and
have the same defaults.

What is equal: the initial weights, bit by bit (`detect train` with a learning rate of 0 writes them, for the same --seed,
--model and --backbone; --weights takes those of a best.bin in their place), the frozen parts, the running mean, and how
images are varied: the same flips, turns, sizes, cuts and colours are equally likely. What differs: the random numbers
themselves; ours pads each image to a multiple of 64 pixels; and ours counts its validations as time of the training,
while here the minutes begin with the first step and end before the evaluation. The learning rate falls by the share of
the minutes, because nobody knows how many steps they hold.

With --minutes 0 --weights best.bin it only evaluates: the numbers are those of `detect eval`. Prints a line every half
minute and in the end pycocotools' twelve numbers, the steps done and the seconds of each. --output keeps the final mean,
a file that `detect` reads. Versions: requirements.txt.
"""

import argparse
import json
import math
import os
import random
import re
import subprocess
import tempfile
import time

import torch
import torchvision.transforms.functional as colors
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors import safe_open
from safetensors.torch import save_file

import reference_images
from checkpoint_forms import official_names, official_state
from deformable_detr_reference import NarrowBackbone, build, detections
from golden_training import outputs
from golden_training_losses import published

JOINED = re.compile(r"model\.(decoder\.layers\.\d+\.self_attn)\.([qkv])_proj\.(weight|bias)")


# The model


def initial_weights(options, folder):
    """The path of what `detect train` begins with: it takes one step on one image, and learns nothing from it."""
    with open(options.annotations) as file:
        dataset = json.load(file)
    objects = [annotation["image_id"] for annotation in dataset["annotations"]]
    image = next(image for image in dataset["images"] if image["id"] in objects)
    dataset["images"] = [image]
    dataset["annotations"] = [found for found in dataset["annotations"] if found["image_id"] == image["id"]]
    annotations = os.path.join(folder, "one-image.json")
    with open(annotations, "w") as file:
        json.dump(dataset, file)
    subprocess.run(
        [options.detect, "train", "--images", options.images, "--annotations", annotations, "--output", folder, "--quiet",
         "--model", options.model, "--backbone", options.backbone, "--seed", str(options.seed), "--learning-rate", "0",
         "--epochs", "1", "--batch-size", "1", "--average-decay", "0", "--size", str(options.size),
         "--max-size", str(options.max_size), "--augment", "none"], check=True)
    return os.path.join(folder, "last.bin")


def model_of(path, dropout):
    """transformers' model with the weights of a w.bin."""
    with safe_open(path, "pt") as file:
        ours = json.loads(file.metadata()["configuration"])
        tensors = {name: file.get_tensor(name) for name in file.keys() if not name.startswith("__padding__")}
    backbone = NarrowBackbone(
        ours["backbone"]["block"], ours["backbone"]["stemWidth"], tuple(ours["backbone"]["widths"]),
        tuple(ours["backbone"]["depths"]))
    model = build(
        "base", backbone, randomised=False, with_box_refine=ours["refinement"], two_stage=ours["twoStage"],
        dilation=ours["backbone"]["dilatesLastStage"], num_labels=ours["classes"], d_model=ours["modelWidth"],
        encoder_layers=ours["encoderLayers"], decoder_layers=ours["decoderLayers"],
        encoder_ffn_dim=ours["feedForwardWidth"], decoder_ffn_dim=ours["feedForwardWidth"],
        encoder_attention_heads=ours["heads"], decoder_attention_heads=ours["heads"],
        encoder_n_points=ours["encoderPoints"], decoder_n_points=ours["decoderPoints"],
        num_feature_levels=ours["levels"], num_queries=ours["queries"], dropout=dropout, activation_dropout=dropout,
        attention_dropout=dropout)
    # Neither the authors' program nor ours drops anything of the encoder's input.
    model.model.encoder.dropout = 0.0
    load(model, tensors)
    return model


@torch.no_grad()
def load(model, tensors):
    """Copies tensors of the authors' names into the model; each must find its place, and each place its tensor."""
    used = set()
    for name, place in model.state_dict().items():
        if name.startswith(("model.decoder.class_embed.", "model.decoder.bbox_embed.")):
            continue  # other names of the heads
        joined = JOINED.fullmatch(name)
        if joined:
            official = f"transformer.{joined[1]}.in_proj_{joined[3]}"
            tensor = tensors[official].chunk(3)["qkv".index(joined[2])]
        else:
            (official,) = official_names({name: place})
            if official not in tensors:  # a shared head has the first one's name alone
                official = re.sub(r"^(class|bbox)_embed\.\d+", r"\1_embed.0", official)
            tensor = tensors[official]
        if tensor.shape != place.shape:
            raise SystemExit(f"{official}: shape {list(tensor.shape)}, the model has {list(place.shape)}")
        place.copy_(tensor)
        used.add(official)
    if set(tensors) != used:
        raise SystemExit(f"no place in the model for {sorted(set(tensors) - used)}")


def parameter_groups(model, options):
    """AdamW's groups, by the names of ParameterGroups.swift; what is frozen needs no gradient. Frozen norms are buffers here."""
    stem, first = ["backbone.model.conv1."], ["backbone.model.layer1."]
    frozen = {"none": [], "stem": stem, "layer1": stem + first, "all": ["backbone."]}[options.freeze]
    rates = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(part in name for part in frozen))
        rate = options.learning_rate
        if "backbone." in name:
            rate = options.backbone_learning_rate
        elif "reference_points" in name or "sampling_offsets" in name:
            rate *= 0.1
        if parameter.requires_grad:
            rates.setdefault(rate, []).append(parameter)
    return [{"params": parameters, "lr": rate, "rate": rate} for rate, parameters in rates.items()]


# The data


class Samples:
    """Images with the boxes of a COCO file, as FolderSamples.swift takes them, varied as Augmentation.swift does."""

    def __init__(self, options):
        with open(options.annotations) as file:
            dataset = json.load(file)
        columns = category_ids(dataset)
        self.options = options
        self.objects = {image["id"]: [] for image in dataset["images"]}
        self.paths = {image["id"]: os.path.join(options.images, image["file_name"]) for image in dataset["images"]}
        for annotation in dataset["annotations"]:
            if not annotation.get("iscrowd", 0):
                left, top, width, height = annotation["bbox"]
                corners = [left, top, left + width, top + height]
                self.objects[annotation["image_id"]].append((columns.index(annotation["category_id"]), corners))

    def batches(self):
        """Lists of what passes the network together, without end: another order every epoch; what fills no batch is left out."""
        while True:
            order = random.sample(list(self.paths), len(self.paths))
            size = min(self.options.batch_size, len(order))
            for start in range(0, len(order) - size + 1, size):
                samples = [self.sample(image) for image in order[start:start + size]]
                yield [batch(samples)] if self.options.joined else [batch([sample]) for sample in samples]

    def sample(self, image):
        """(pixels [3, H, W], (labels [T], boxes [T, 4] as cxcywh in 0...1))."""
        picture = reference_images.load(self.paths[image])
        objects = [(label, inside(box, 0, 0, *picture.size)) for label, box in self.objects[image]]
        picture, objects = varied(picture, objects, self.options)
        width, height = picture.size
        scale = torch.tensor([width, height, width, height], dtype=torch.float32)
        corners = torch.tensor([box for _, box in objects], dtype=torch.float32).reshape(-1, 4) / scale
        first, second = corners.split(2, 1)
        labels = torch.tensor([label for label, _ in objects], dtype=torch.long)
        pixels = torch.from_numpy(reference_images.normalized(picture))
        return pixels, (labels, torch.cat(((first + second) / 2, second - first), 1))


def category_ids(dataset):
    """The category of each column of the logits."""
    return sorted(category["id"] for category in dataset["categories"])


def batch(samples):
    """(pixels [N, 3, H, W], mask [N, H, W], targets of each image): each image at the upper left."""
    height, width = (max(pixels.shape[axis] for pixels, _ in samples) for axis in (1, 2))
    batched, mask = torch.zeros(len(samples), 3, height, width), torch.zeros(len(samples), height, width)
    for index, (pixels, _) in enumerate(samples):
        batched[index, :, : pixels.shape[1], : pixels.shape[2]] = pixels
        mask[index, : pixels.shape[1], : pixels.shape[2]] = 1
    return batched, mask, [targets for _, targets in samples]


def inside(box, left, top, right, bottom):
    return [min(max(box[0], left), right), min(max(box[1], top), bottom),
            min(max(box[2], left), right), min(max(box[3], top), bottom)]


def varied(image, objects, options):
    """Another picture of an image, and what is seen in it: (class, corners in pixels) of each object that has an area."""
    left, top, part_width, part_height, width, height = frame(*image.size, options)
    image = image.crop((left, top, left + part_width, top + part_height))
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    scale = width / part_width, height / part_height
    found = []
    for label, box in objects:
        box = inside([(value - (left, top)[axis % 2]) * scale[axis % 2] for axis, value in enumerate(box)], 0, 0, width, height)
        if box[2] > box[0] and box[3] > box[1]:
            found.append((label, box))
    boxes = [box for _, box in found]
    turned = options.augment == "turned"
    if turned and random.random() < 0.5:
        image, boxes = image.transpose(Image.Transpose.TRANSPOSE), [[y0, x0, y1, x1] for x0, y0, x1, y1 in boxes]
        width, height = height, width
    if options.augment != "none" and random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        boxes = [[width - x1, y0, width - x0, y1] for x0, y0, x1, y1 in boxes]
    if turned and random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        boxes = [[x0, height - y1, x1, height - y0] for x0, y0, x1, y1 in boxes]
    if options.augment in ("turned", "colors"):
        image = recolored(image)
    return image, [(label, box) for (label, _), box in zip(found, boxes)]


def frame(width, height, options):
    """(left, top, width, height) of the part that is seen, and its width and height then, as `frame` of Augmentation.swift."""
    def scaled(length):
        return max(1, math.floor(length * options.size / 800 + 0.5))

    def resized(width, height, side, longest):
        return tuple(max(1, length) for length in reference_images.resized_size(width, height, side, longest))

    if options.augment == "none":
        return 0, 0, width, height, *resized(width, height, options.size, options.max_size)
    side = scaled(random.randrange(480, 801, 32))
    if random.random() >= 0.5:
        return 0, 0, width, height, *resized(width, height, side, options.max_size)
    whole = resized(width, height, scaled(random.choice((400, 500, 600))), math.inf)
    lengths, parts = [], []
    for available, original in zip(whole, (width, height)):
        length = random.randint(min(scaled(384), available), min(scaled(600), available))
        start = random.randint(0, available - length)
        # The same stretch of the original, in its whole pixels.
        first = min(round(start * original / available), original - 1)
        end = min(round((start + length) * original / available), original)
        lengths.append(length)
        parts.append((first, max(1, end - first)))
    (left, part_width), (top, part_height) = parts
    return left, top, part_width, part_height, *resized(*lengths, side, options.max_size)


def recolored(image):
    """ColorJitter.photometric: each change half the time, in any order, by the formulas for tensors of bytes."""
    changes = [
        (colors.adjust_brightness, random.uniform(0.875, 1.125)), (colors.adjust_contrast, random.uniform(0.5, 1.5)),
        (colors.adjust_saturation, random.uniform(0.5, 1.5)), (colors.adjust_hue, random.uniform(-0.05, 0.05))]
    changes = [change for change in changes if random.random() < 0.5]
    random.shuffle(changes)
    pixels = colors.pil_to_tensor(image)
    for adjust, amount in changes:
        pixels = adjust(pixels, amount)
    return colors.to_pil_image(pixels)


# The training


def rate_factor(step, share, options):
    """LearningRateSchedule.swift, the fall by the share of the time that has passed."""
    warm = min(1, 0.001 + 0.999 * step / options.warmup) if options.warmup else 1
    if options.schedule == "step":
        return warm * (0.1 if share >= options.fall_after else 1)
    progress = max(0, share - options.fall_after) / max(1e-9, 1 - options.fall_after)
    return warm * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1, progress))) / 2)


def learn(model, parts):
    """Adds a batch's gradients up, part by part; returns its loss."""
    def count(targets):
        return max(1, sum(len(labels) for labels, _ in targets))

    whole, total = count([image for _, _, targets in parts for image in targets]), 0.0
    for pixels, mask, targets in parts:
        found = outputs(model, pixels, mask)
        layers = list(zip(found["logits"], found["boxes"]))
        proposals = [found["proposals.logits"], found["proposals.boxes"]] if model.config.two_stage else None
        # The published loss is over the number of the part's objects.
        loss = published(layers, proposals, targets)[1] * (count(targets) / whole)
        loss.backward()
        total += loss.item()
    return total


def train(model, options):
    """Changes the model into the running mean of its weights; returns the number of steps and the seconds they took."""
    samples = Samples(options)
    groups = parameter_groups(model, options)
    adam = torch.optim.AdamW(groups, weight_decay=options.weight_decay)
    learning = [parameter for group in groups for parameter in group["params"]]
    average = [parameter.detach().clone() for parameter in learning]
    model.train()
    step, losses, limit = 0, [], options.minutes * 60
    start = said = time.monotonic()
    for parts in samples.batches():
        factor = rate_factor(step, (time.monotonic() - start) / limit, options)
        for group in adam.param_groups:
            group["lr"] = group["rate"] * factor
        adam.zero_grad()
        losses.append(learn(model, parts))
        norm = torch.nn.utils.clip_grad_norm_(learning, options.clip if options.clip else math.inf, error_if_nonfinite=True)
        adam.step()
        kept = min(options.average_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [parameter.detach() for parameter in learning], 1 - kept)
        step += 1
        now = time.monotonic()
        if now - said > 30 or step == 1 or now - start >= limit:
            print(f"{(now - start) / 60:6.2f} minutes, step {step}, epoch {step * options.batch_size / len(samples.paths):.1f}:"
                  f" loss {sum(losses) / len(losses):.3f}, last norm {norm:.2f}, {(now - start) / step:.2f} s a step", flush=True)
            losses, said = [], now
        if now - start >= limit:
            break
    with torch.no_grad():
        for parameter, mean in zip(learning, average):
            parameter.copy_(mean)
    return step, now - start


# The evaluation


@torch.inference_mode()
def evaluate(model, options):
    """pycocotools' statistics for the best 100 detections of each image."""
    model.eval()
    truth = COCO(options.test_annotations)
    categories = category_ids(truth.dataset)
    results = []
    for image in truth.dataset["images"]:
        picture = reference_images.load(os.path.join(options.test_images or options.images, image["file_name"]))
        pixels = torch.from_numpy(reference_images.preprocess(picture, options.size, options.max_size))
        output = model(pixel_values=pixels)
        for label, score, (x0, y0, x1, y1) in detections(output.logits[0], output.pred_boxes[0], *picture.size):
            results.append({
                "image_id": image["id"], "category_id": categories[label], "bbox": [x0, y0, x1 - x0, y1 - y0],
                "score": score})
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="how long to train")
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--detect", help="the built command, which makes the initial weights")
    start.add_argument("--weights", help="a best.bin or last.bin to begin with")
    parser.add_argument("--images", required=True)
    parser.add_argument("--annotations", required=True)
    parser.add_argument("--test-images", help="default: as --images")
    parser.add_argument("--test-annotations", required=True)
    parser.add_argument("--output", help="a file for the final weights")
    parser.add_argument("--model", default="small")
    parser.add_argument("--backbone", help="with --detect: a ResNet, with torchvision's names")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--joined", action="store_true", help="pass a batch as one, padded and masked")
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--backbone-learning-rate", type=float, help="default: a tenth of --learning-rate")
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--clip", type=float, default=0.1)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--schedule", choices=("step", "cosine"), default="step")
    parser.add_argument("--fall-after", type=float, default=0.8)
    parser.add_argument("--average-decay", type=float, default=0.999)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--freeze", choices=("none", "stem", "layer1", "all"), default="layer1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="default: PyTorch's")
    parser.add_argument("--size", type=int, help="default: what --weights states, or 480")
    parser.add_argument("--max-size", type=int, help="default: 5/3 of --size")
    parser.add_argument("--augment", choices=("none", "published", "turned", "colors"), default="published")
    options = parser.parse_args()
    if (options.detect is None) != (options.backbone is None):
        parser.error("--detect and --backbone belong together; --weights have a backbone already")
    if options.weights and options.size is None:
        with safe_open(options.weights, "pt") as file:
            stated = json.loads(file.metadata()["preprocessing"])
        options.size, options.max_size = stated["shorterSide"], options.max_size or stated["longestSide"]
    options.size = options.size or 480
    options.max_size = options.max_size or options.size * 5 // 3
    if options.backbone_learning_rate is None:
        options.backbone_learning_rate = options.learning_rate / 10
    return options


def main():
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        start = options.weights or initial_weights(options, folder)
        model = model_of(start, options.dropout)
        with safe_open(start, "pt") as file:
            metadata, names = file.metadata(), set(file.keys())
    random.seed(options.seed)
    torch.manual_seed(options.seed)
    steps, seconds = train(model, options) if options.minutes > 0 else (0, 0.0)
    if options.output:
        state = {name: tensor.contiguous() for name, tensor in official_state(model).items() if name in names}
        save_file(state, options.output, metadata=metadata)
    statistics = evaluate(model, options)
    print(f"AP {statistics[0]:.4f}, AP50 {statistics[1]:.4f} after {steps} steps in {seconds / 60:.1f} minutes"
          f" ({seconds / max(1, steps):.2f} s a step, {torch.get_num_threads()} threads, torch {torch.__version__})")


if __name__ == "__main__":
    main()
