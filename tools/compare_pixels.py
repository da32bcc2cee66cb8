#!/usr/bin/env python3
"""Compares every decoded and resized byte with Pillow's.

    swift build -c release --product pixel-probe
    python3 tools/compare_pixels.py .build/release/pixel-probe FOLDER...

Each JPEG and PNG file under the folders is decoded by both: here as `ImageOps.exif_transpose(Image.open(f)).convert("RGB")`. The first
few files are also resized to odd shapes, up and down, as `resize(size, Image.BILINEAR)`. Files that only one side takes are listed with the
reason; a file that our decoder refuses by default but takes with --allow-truncated is compared that way and listed. The exit
status is 1 when any byte differs, or when Pillow takes a file that is refused here for another reason than its kind or damage.

Written for Pillow 13.0.0: another version may round, order its passes or upsample chroma otherwise.
"""

import argparse
import pathlib
import subprocess
import sys
import warnings

import PIL
from PIL import Image, ImageOps

SIZES = [
    (1, 1), (1, 97), (97, 1), (2, 3), (7, 5), (13, 31), (31, 13), (64, 64), (100, 37), (101, 103),
    (127, 255), (200, 150), (224, 224), (233, 377), (299, 299), (320, 240), (333, 500), (415, 620), (480, 640),
    (512, 17), (17, 512), (600, 800), (640, 427), (641, 479), (750, 1333), (800, 1066), (1066, 800), (1333, 750),
    (1500, 11), (1921, 1081),
]  # fmt: skip
DAMAGE = {"damaged_image", "truncated_image"}


def probe(program, path, sizes, tolerant):
    """The images that the program writes, or its error's code and text."""
    command = [program, str(path)] + (["--allow-truncated"] if tolerant else []) + [f"{w}x{h}" for w, h in sizes]
    result = subprocess.run(command, capture_output=True, timeout=600)
    if result.returncode == 1:
        code, _, text = result.stderr.decode(errors="replace").partition("\n")
        return None, code, text.strip()
    if result.returncode != 0:
        return None, f"status {result.returncode}", result.stderr.decode(errors="replace")
    images, rest = [], memoryview(result.stdout)
    while rest:
        header = bytes(rest[:40]).split(b"\n", 3)
        width, height = map(int, header[1].split())
        start = sum(len(line) + 1 for line in header[:3])
        end = start + width * height * 3
        images.append(((width, height), bytes(rest[start:end])))
        rest = rest[end:]
    return images, None, None


def reference(path):
    """Pillow's RGB image, or the reason it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=["JPEG", "PNG"]) as image:
                return ImageOps.exif_transpose(image).convert("RGB"), None
    except Exception as error:  # Pillow raises a dozen kinds for damaged files.
        return None, f"{type(error).__name__}: {error}"


def first_difference(ours, theirs):
    if ours[0] != theirs.size:
        return f"size {ours[0]}, Pillow's {theirs.size}"
    expected = theirs.tobytes()
    if ours[1] == expected:
        return None
    index = next(i for i, (a, b) in enumerate(zip(ours[1], expected)) if a != b)
    count = sum(a != b for a, b in zip(ours[1], expected))
    pixel, channel = divmod(index, 3)
    row, column = divmod(pixel, theirs.width)
    return f"{count} bytes differ, first at row {row} column {column} channel {channel}: {ours[1][index]}, Pillow's {expected[index]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the built pixel-probe")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--resized", type=int, default=3, metavar="N", help="resize the first N files of each folder (3)")
    arguments = parser.parse_args()
    print(f"Pillow {PIL.__version__}")
    equal = resized = 0
    failures, exceptions = [], []
    for folder in arguments.folders:
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"} and p.is_file())
        if not files:
            failures.append(f"{folder}: no images")
        remaining = arguments.resized
        for path in files:
            expected, reason = reference(path)
            sizes = SIZES if expected is not None and remaining > 0 else []
            images, code, text = probe(arguments.program, path, sizes, tolerant=False)
            if images is None and expected is None:
                exceptions.append(f"{path}: refused by both: {text}; Pillow: {reason}")
                continue
            if code == "unsupported_image":
                exceptions.append(f"{path}: not decoded here: {text}")
                continue
            if images is None:
                images, _, _ = probe(arguments.program, path, sizes, tolerant=True)
                if images is None or code not in DAMAGE:
                    failures.append(f"{path}: refused, but Pillow takes it: {code}: {text}")
                    continue
                exceptions.append(f"{path}: compared with --allow-truncated: {text}")
            if expected is None:
                exceptions.append(f"{path}: taken here, refused by Pillow: {reason}")
                continue
            difference = first_difference(images[0], expected)
            if difference:
                failures.append(f"{path}: {difference}")
                continue
            equal += 1
            remaining -= 1 if sizes else 0
            for size, image in zip(sizes, images[1:], strict=True):
                difference = first_difference(image, expected.resize(size, Image.Resampling.BILINEAR))
                if difference:
                    failures.append(f"{path} at {size[0]}x{size[1]}: {difference}")
                else:
                    resized += 1
    for line in exceptions:
        print("exception:", line)
    for line in failures:
        print("FAILED:", line)
    print(f"{equal} files equal in every byte, {resized} resized images equal, "
          f"{len(exceptions)} exceptions, {len(failures)} failures")  # fmt: skip
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
