"""From a photo to the network's pixel values, as the authors' evaluation does it, with Pillow and numpy alone.

Source: datasets/transforms.py (RandomResize([800], max_size=1333), ToTensor, Normalize) of
fundamentalvision/Deformable-DETR. Versions: requirements.txt (Pillow 13.0.0).
"""

import numpy as np
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
    return normalized(image.resize(resized_size(*image.size, shorter, longest), Image.Resampling.BILINEAR))[None]


def normalized(image):
    """[3, H, W]: an image's bytes / 255, less the mean, over the standard deviation, in float32."""
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255)
    mean, deviation = (np.array(values, np.float32).reshape(3, 1, 1) for values in (MEAN, STANDARD_DEVIATION))
    return np.ascontiguousarray((pixels - mean) / deviation)
