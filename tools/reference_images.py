"""From a photo to pixel values and from network outputs to detections, as the authors' evaluation does it.

Sources: datasets/transforms.py (RandomResize([800], max_size=1333), ToTensor, Normalize) and models/deformable_detr.py
(PostProcess) of fundamentalvision/Deformable-DETR. Versions: requirements.txt (Pillow 13.0.0).
"""

import numpy as np
import torch
from PIL import Image, ImageOps

MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)


def resized_size(width, height, shorter=800, longest=1333):
    """(width, height) that the network sees; Python's round goes half to even, int cuts."""
    low, high = float(min(width, height)), float(max(width, height))
    if high / low * shorter > longest:
        shorter = int(round(longest * low / high))
    if min(width, height) == shorter:
        return width, height
    if width < height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def load(path):
    """The upright photo in RGB."""
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def preprocess(image, shorter=800, longest=1333):
    """[1, 3, H, W]: Pillow's antialiased bilinear on bytes, then /255, mean and standard deviation in float32."""
    resized = image.resize(resized_size(*image.size, shorter, longest), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).to(torch.float32).div(255)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STANDARD_DEVIATION))
    return pixels.sub(mean).div(deviation)[None].contiguous()


def detections(logits, boxes, width, height, count=100):
    """[(class, score, [x_min, y_min, x_max, y_max] in pixels)], best first, of one image's [Q, C] and [Q, 4]."""
    classes = logits.shape[-1]
    scores, indices = logits.sigmoid().flatten().topk(min(count, logits.numel()))
    center_x, center_y, box_width, box_height = boxes.unbind(-1)
    corners = torch.stack((
        center_x - 0.5 * box_width, center_y - 0.5 * box_height,
        center_x + 0.5 * box_width, center_y + 0.5 * box_height), -1)
    corners = corners[indices // classes] * torch.tensor([width, height, width, height], dtype=boxes.dtype)
    return list(zip((indices % classes).tolist(), scores.tolist(), corners.tolist()))
