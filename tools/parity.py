"""Does `detect` give what the reference gives? Every variant at full size, in every checkpoint form, on three photos.

    python tools/parity.py .build/release/detect PHOTOS [--variants base two-stage] [--forms official-zip w.bin] [--cache DIR]

Builds each variant with random parameters (deformable_detr_reference.py), saves it in each form (checkpoint_forms.py), runs

    detect PHOTO --weights W --dump OUT --threshold T --format json --no-images

and compares every dumped tensor and the detections with the reference. Form `w.bin` is `detect convert` of the zip. DC5 is not
in the tensors: forms without side data get it by --config. Prints
one Markdown row for each variant and form, with the worst figure over the photos, and exits 1 if a limit is exceeded:
pixel_values 1e-6; logits 1e-4 of the largest; pred_boxes 1e-4; the same classes in the same order, boxes to 0.01 pixel.
Scores closer than float noise may change places, and a two-stage model's queries where their proposals' scores do.

The reference takes minutes; --cache keeps its outputs (50 MB a variant and photo) for the next run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.optimize import linear_sum_assignment

import reference_images
from checkpoint_forms import FORMS, save
from deformable_detr_reference import VARIANTS, build, detections, relative_error, run

MODELS = {variant: (variant, "resnet50") for variant in VARIANTS} | {
    f"base-{backbone}": ("base", backbone) for backbone in ("resnet18", "resnet34", "resnet101")}
LIMITS = {"pixel_values": 1e-6, "logits": 1e-4, "pred_boxes": 1e-4}
# Scores and proposals this close (relative to the largest logit) are equal as far as float32 can tell.
FLOAT_NOISE = 3e-5
BOX_LIMIT = 0.01  # pixels
SEED = 23


def choose_photos(folder):
    """Three of the folder's photos: the first landscape, the first portrait, and the one whose shape is most extreme."""
    shapes = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            try:
                with Image.open(os.path.join(parent, name)) as image:
                    shapes[os.path.join(parent, name)] = image.size
            except OSError:
                continue
    landscape = next((path for path, (w, h) in shapes.items() if w > h), None)
    portrait = next((path for path, (w, h) in shapes.items() if h > w), None)
    rest = [path for path in shapes if path not in (landscape, portrait)]
    if not (landscape and portrait and rest):
        raise SystemExit(f"{folder}: needs at least three photos, one landscape and one portrait")
    return [landscape, portrait, max(rest, key=lambda path: max(shapes[path]) / min(shapes[path]))]


def reference_outputs(model, name, photo, cache):
    """The reference's tensors for a photo, from the cache if it has them. `model` is called only if needed."""
    key = f"{name}-{SEED}-{os.path.splitext(os.path.basename(photo))[0]}.safetensors"
    path = os.path.join(cache, key) if cache else None
    if path and os.path.exists(path):
        return load_file(path)
    pixels = torch.from_numpy(reference_images.preprocess(reference_images.load(photo)))
    outputs = {"pixel_values": pixels} | run(model, pixels)
    if path:
        save_file(outputs, path)
    return outputs


def reference_model(name, cache):
    """The model's weights come from the cache with its outputs: threads and processor types change their last bits."""
    variant, backbone = MODELS[name]
    model = build(variant, backbone, SEED)
    path = os.path.join(cache, f"{name}-{SEED}.weights") if cache else None
    if path and os.path.exists(path):
        model.load_state_dict(torch.load(path))
    elif path:
        torch.save(model.state_dict(), path)
    return model


def detect(command, photo, weights, folder, threshold, more):
    """(dumped tensors, detections as in the JSON record); raises RuntimeError with what the command said."""
    dump = os.path.join(folder, "dump.safetensors")
    result = subprocess.run(
        [command, photo, "--weights", weights, "--dump", dump, "--threshold", str(threshold), "--format", "json",
         "--no-images", *more], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"detect ended with {result.returncode}: {(result.stderr or result.stdout).strip()[-600:]}")
    records = json.loads(result.stdout)
    tensors = load_file(dump)
    os.remove(dump)
    return tensors, records[0]["detections"]


def align_queries(found, expected):
    """Puts a two-stage model's queries in the reference's order where near-equal proposals changed places.

    Returns how many moved; raises RuntimeError if proposals moved whose scores are not equal to float noise.
    """
    top = expected["proposal_scores"][0].topk(expected["logits"].shape[1]).values
    distance = torch.cdist(found["pred_boxes"][0].double(), expected["pred_boxes"][0].double(), p=1)
    distance += torch.cdist(found["logits"][0].double(), expected["logits"][0].double(), p=1) * 1e-2
    rows, order = linear_sum_assignment(distance.T.numpy())
    order = torch.from_numpy(order)
    moved = (order != torch.arange(len(order))).nonzero().flatten()
    if len(moved):
        gap = ((top[moved] - top[order[moved]]).abs().max() / expected["proposal_scores"].abs().max()).item()
        if gap > FLOAT_NOISE:
            raise RuntimeError(f"{len(moved)} queries out of order; their proposals' scores differ by {gap:.1e}")
    for name, axis in (("logits", 1), ("pred_boxes", 1), ("hidden", 2)):
        found[name] = found[name].index_select(axis, order)
    return len(moved)


def compare_detections(found, expected, threshold, count=100):
    """(moved, worst box difference in pixels); raises RuntimeError at the first detection without its like.

    expected: more than `count` candidates, so that the last places may be shared by equals.
    """
    wanted = sum(score > threshold for _, score, _ in expected[:count])
    near = sum(abs(score - threshold) <= FLOAT_NOISE for _, score, _ in expected[:count])
    if abs(len(found) - wanted) > near:
        raise RuntimeError(f"{len(found)} detections, the reference has {wanted}")
    free = list(range(len(expected)))
    moved, worst = 0, 0.0
    for place, detection in enumerate(found):
        def fits(index):
            label, score, box = expected[index]
            return (label == detection["class_id"] and abs(score - detection["score"]) <= FLOAT_NOISE
                    and max(abs(a - b) for a, b in zip(box, detection["box"])) <= BOX_LIMIT)
        index = next((index for index in sorted(free, key=lambda index: abs(index - place)) if fits(index)), None)
        if index is None:
            raise RuntimeError(f"detection {place} is {detection}, the reference has {expected[place]}")
        if abs(expected[index][1] - expected[place][1]) > FLOAT_NOISE:
            raise RuntimeError(f"detection {place} belongs at place {index}")
        free.remove(index)
        moved += index != place
        worst = max(worst, max(abs(a - b) for a, b in zip(expected[index][2], detection["box"])))
    return moved, worst


def compare(found, detected, expected, size, threshold):
    """The figures of one run as {column: value}; problems come as a list of sentences under "problems"."""
    figures, problems = {}, []
    names = [name for name in expected if name != "proposal_scores"]
    for name in names:
        if name not in found:
            problems.append(f"{name} is missing from the dump")
        elif found[name].shape != expected[name].shape:
            problems.append(f"{name} has shape {list(found[name].shape)}, expected {list(expected[name].shape)}")
    extra = sorted(set(found) - set(names))
    if extra:
        problems.append(f"the dump also has {', '.join(extra)}")
    if problems:
        return {"problems": problems}
    try:
        if "proposal_scores" in expected:
            figures["queries moved"] = align_queries(found, expected)
        candidates = detections(expected["logits"][0], expected["pred_boxes"][0], *size, count=150)
        figures["moved"], figures["box px"] = compare_detections(detected, candidates, threshold)
    except RuntimeError as error:
        problems.append(str(error))
    figures["detections"] = len(detected)
    for name in names:
        absolute = (found[name].double() - expected[name].double()).abs().max().item()
        error = absolute if name in ("pixel_values", "pred_boxes") else relative_error(found[name], expected[name])
        column = "feature" if name.startswith("feature.") else name
        figures[column] = max(figures.get(column, 0.0), error)
        if not error <= LIMITS.get(name, float("inf")):
            problems.append(f"{name} differs by {error:.1e}, more than {LIMITS[name]:.0e}")
    return figures | {"problems": problems}


def weights_in_form(command, model, name, form, folder):
    """The path of the model's weights in `form`, saved or converted into the empty `folder`."""
    backbone = MODELS[name][1]
    if form != "w.bin":
        return save(model, form, folder, backbone)
    source = save(model, "official-zip", os.path.join(folder, "source"), backbone)
    path = os.path.join(folder, "w.bin")
    result = subprocess.run([command, "convert", source, "--output", path], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"detect convert ended with {result.returncode}: {result.stderr.strip()[-600:]}")
    shutil.rmtree(os.path.join(folder, "source"))
    with safe_open(path, "pt") as file:  # any safetensors library must be able to read it, every tensor of it
        if not list(file.keys()):
            raise RuntimeError("w.bin holds no tensors")
        for key in file.keys():
            file.get_tensor(key)
    return path


def completing_configuration(name, form, folder):
    """Options for what neither the form's tensors nor its side data say: that the last stage is dilated (DC5)."""
    if not name.endswith("dc5") or form not in ("hugging-face-v4-bare", "pytorch-bin"):
        return []
    path = os.path.join(folder, "dilation.json")
    with open(path, "w") as file:
        json.dump({"dilation": True}, file)
    return ["--config", path]


def check_form(options, model, name, form, photos, expected, work):
    """(worst figures over the photos, problems, detections by photo) of one variant in one form."""
    worst, problems, detected_by_photo = {}, [], {}
    folder = tempfile.mkdtemp(dir=work)
    try:
        weights = weights_in_form(options.detect, model, name, form, folder)
        more = completing_configuration(name, form, work)
        for photo in photos:
            size = reference_images.load(photo).size
            found, detected = detect(options.detect, photo, weights, work, options.threshold, more)
            figures = compare(found, detected, expected[photo], size, options.threshold)
            problems += [f"{os.path.basename(photo)}: {problem}" for problem in figures.pop("problems")]
            detected_by_photo[photo] = detected
            for column, value in figures.items():
                worst[column] = max(worst.get(column, 0), value)
    except (RuntimeError, OSError, ValueError, KeyError, IndexError) as error:
        problems.append(f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(folder)
    return worst, problems, detected_by_photo


COLUMNS = [
    "pixel_values", "feature", "memory", "hidden", "logits", "pred_boxes", "detections", "box px", "moved", "queries moved"]


def row(name, form, figures, problems):
    cells = [name, form]
    for column in COLUMNS:
        value = figures.get(column, "")
        cells.append(f"{value:.1e}" if isinstance(value, float) else str(value))
    return "| " + " | ".join(cells + ["FAILED" if problems else "ok"]) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detect", help="the built command")
    parser.add_argument("photos", help="a folder with photos of different shapes")
    parser.add_argument("--variants", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--forms", nargs="+", default=[*FORMS, "w.bin"], choices=[*FORMS, "w.bin"])
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--cache", help="folder for the reference's weights and outputs")
    options = parser.parse_args()
    options.detect = os.path.abspath(options.detect)
    if options.cache:
        os.makedirs(options.cache, exist_ok=True)
    photos = choose_photos(options.photos)
    print("Photos: " + ", ".join(f"{os.path.basename(p)} {'x'.join(map(str, Image.open(p).size))}" for p in photos))
    print("\n| model | form | " + " | ".join(COLUMNS) + " | |\n" + "|---" * (len(COLUMNS) + 3) + "|", flush=True)
    failures = []
    for name in options.variants:
        model = reference_model(name, options.cache)
        expected = {photo: reference_outputs(model, name, photo, options.cache) for photo in photos}
        first = None
        for form in options.forms:
            with tempfile.TemporaryDirectory() as work:
                figures, problems, detected = check_form(options, model, name, form, photos, expected, work)
            if first is None:
                first = detected
            elif detected != first and not problems:
                problems.append(f"detections differ from those of {options.forms[0]}")
            print(row(name, form, figures, problems), flush=True)
            failures += [f"{name}, {form}: {problem}" for problem in problems]
    if failures:
        print("\n" + "\n".join(f"- {failure}" for failure in failures))
    print(f"\n{'FAILED' if failures else 'All within the limits'}: pixel_values {LIMITS['pixel_values']:.0e}, logits"
          f" {LIMITS['logits']:.0e} of the largest, pred_boxes {LIMITS['pred_boxes']:.0e}, boxes {BOX_LIMIT} pixel.")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
