#!/usr/bin/env python3
"""Makes Tests/ImagesTests/Golden: small images of every kind, and the RGB bytes that Pillow reads from them.

Made with Pillow 13.0.0 and torch 2.15.0:

    python3 tools/golden_images.py

`cases.json` lists the files with size and offset of their `ImageOps.exif_transpose(Image.open(f)).convert("RGB")` in `expected.bin`, and
likewise the resized copies of two of them. `normalized.bin` has 256 x 3 float32 values, little-endian: what torchvision's to_tensor
(a division by 255) and normalize (a subtraction, then a division) make of every byte in each channel. `hostile-*` are files
that must be refused.
"""

import io
import json
import pathlib
import random
import struct
import zlib

import PIL
import torch
from PIL import Image, ImageOps

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "Tests/ImagesTests/Golden"
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def picture(width, height, mode="RGB", seed=1):
    """Smooth gradients with hard edges and a little noise: DCT, chroma upsampling and rounding all show."""
    noise = random.Random(seed)
    bands = len(mode) if mode != "L" else 1
    data = bytearray()
    for y in range(height):
        for x in range(width):
            for band in range(bands):
                value = (x * (5 + 3 * band) + y * (9 - 2 * band)) % 256
                if (x // 6 + y // 5) % 3 == band % 3:
                    value = 255 - value
                data.append(max(0, min(255, value + noise.randint(-12, 12))))
    return Image.frombytes(mode, (width, height), bytes(data))


def jpeg(image, **options):
    output = io.BytesIO()
    image.save(output, "JPEG", quality=options.pop("quality", 85), **options)
    return bytearray(output.getvalue())


def frame_header(data):
    """Where the frame header's payload begins."""
    position = 2
    while data[position + 1] not in (0xC0, 0xC1, 0xC2):
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return position + 4


def resampled_frame(data, width, height, sampling):
    """The same coded blocks under another size and luma sampling: Pillow cannot write 4:4:0 and 4:1:1 itself."""
    start = frame_header(data)
    data[start + 1 : start + 5] = struct.pack(">HH", height, width)
    data[start + 7] = sampling
    return data


def ycck(data):
    """CMYK coded blocks marked as YCCK."""
    start = data.index(b"Adobe")
    data[start + 11] = 2
    return data


def many_scans(image, count):
    """A progressive file with `count` more scans, each one bit a block of luma, all of them legal."""
    data = jpeg(image, progressive=True)
    table = b"\xff\xc4\x00\x14\x00\x01" + bytes(15) + b"\x00"
    blocks = -(-image.width // 8) * -(-image.height // 8)
    bits = "0" * blocks + "1" * (-blocks % 8)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return data[:-2] + table + scan * count + b"\xff\xd9"


def chunk(name, payload):
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def filtered(rows, unit):
    """The rows with each of PNG's five filters in turn."""
    output, previous = bytearray(), None
    for index, row in enumerate(rows):
        above = previous or bytes(len(row))
        kind = index % 5
        output.append(kind)
        for i, value in enumerate(row):
            left = row[i - unit] if i >= unit else 0
            corner = above[i - unit] if i >= unit else 0
            estimate = left + above[i] - corner
            paeth = min((left, above[i], corner), key=lambda v: abs(estimate - v))
            guess = (0, left, above[i], (left + above[i]) // 2, paeth)[kind]
            output.append((value - guess) & 0xFF)
        previous = row
    return bytes(output)


def png(width, height, bits, color, interlaced=False, colors=None, before=b"", after=b"", largest=None, seed=2):  # fmt: skip
    """Random samples, up to `largest`, of any colour type and depth; `before` and `after` are chunks around the pixels."""
    noise = random.Random(seed)
    limit = largest or (colors or 1 << bits) - 1
    samples = [[[noise.randint(0, limit) for _ in range(CHANNELS[color])] for _ in range(width)] for _ in range(height)]

    def packed(rows):
        result = []
        for row in rows:
            digits = "".join(format(sample, f"0{bits}b") for pixel in row for sample in pixel)
            digits += "0" * (-len(digits) % 8)
            result.append(int(digits, 2).to_bytes(len(digits) // 8, "big"))
        return filtered(result, max(1, bits * CHANNELS[color] // 8))

    if interlaced:
        passes = [[row[left::dx] for row in samples[top::dy]] for left, top, dx, dy in ADAM7]
        raw = b"".join(packed(rows) for rows in passes if rows and rows[0])
    else:
        raw = packed(samples)
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, int(interlaced))
    palette = chunk(b"PLTE", bytes(noise.randint(0, 255) for _ in range(3 * colors))) if colors else b""
    pixels = zlib.compress(raw, 9)
    half = len(pixels) // 2
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + before + chunk(b"IDAT", pixels[:half])
            + chunk(b"IDAT", pixels[half:]) + after + chunk(b"IEND", b""))  # fmt: skip


def exif(orientation, order="<", kind=3, extra=b""):
    """A TIFF structure with the one tag; `kind` 3 is a 16-bit number, 4 a 32-bit one."""
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,)))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return extra + head + struct.pack(order + "HHHI", 1, 0x0112, kind, 1) + value + bytes(4)


def text_chunk(kind, keyword, text):
    if kind == b"zTXt":
        return chunk(kind, keyword + b"\0\0" + zlib.compress(text, 9))
    if kind == b"iTXt":
        return chunk(kind, keyword + b"\0\0\0\0\0" + text)
    return chunk(kind, keyword + b"\0" + text)


def raw_profile(data):
    return b"\nexif\n%8d\n" % len(data) + data.hex().encode() + b"\n"


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def jpeg_files():
    image = picture(35, 27)
    small = picture(13, 7)
    yield "444.jpg", jpeg(image, subsampling="4:4:4")
    yield "422.jpg", jpeg(image, subsampling="4:2:2")
    yield "420.jpg", jpeg(image, subsampling="4:2:0")
    yield "420-even.jpg", jpeg(picture(32, 16), subsampling="4:2:0")
    yield "440.jpg", resampled_frame(jpeg(image, subsampling="4:2:2"), 27, 35, 0x12)
    yield "411.jpg", resampled_frame(jpeg(picture(32, 32), subsampling="4:2:0"), 61, 15, 0x41)
    yield "rgb.jpg", jpeg(image, keep_rgb=True)
    yield "low-quality.jpg", jpeg(image, quality=8)
    yield "progressive-420.jpg", jpeg(image, progressive=True)
    yield "progressive-444.jpg", jpeg(image, progressive=True, subsampling="4:4:4")
    yield "progressive-grey.jpg", jpeg(image.convert("L"), progressive=True)
    yield "grey.jpg", jpeg(image.convert("L"))
    yield "cmyk.jpg", jpeg(picture(35, 27, "CMYK"))
    yield "cmyk-progressive.jpg", jpeg(picture(35, 27, "CMYK"), progressive=True)
    yield "ycck.jpg", ycck(jpeg(picture(35, 27, "CMYK")))
    yield "restart-blocks.jpg", jpeg(image, restart_marker_blocks=1)
    yield "restart-rows.jpg", jpeg(image, restart_marker_rows=1)
    yield "restart-progressive.jpg", jpeg(image, restart_marker_blocks=2, progressive=True)
    for width, height in [(1, 1), (1, 9), (9, 1), (2, 2), (8, 8), (16, 17), (17, 16)]:
        yield f"size-{width}x{height}.jpg", jpeg(picture(width, height))
    for orientation in range(0, 10):
        yield f"exif-{orientation}.jpg", jpeg(small, exif=b"Exif\0\0" + exif(orientation))
    yield "exif-big-endian.jpg", jpeg(small, exif=b"Exif\0\0" + exif(6, ">"))
    yield "exif-long.jpg", jpeg(small, exif=b"Exif\0\0" + exif(8, ">", kind=4))
    yield "exif-twice-named.jpg", jpeg(small, exif=b"Exif\0\0" + exif(5, extra=b"Exif\0\0"))
    yield "xmp.jpg", jpeg(small, xmp=XMP % 7)
    yield "xmp-after-exif.jpg", jpeg(small, exif=b"Exif\0\0" + exif(6), xmp=XMP % 3)


def png_files():
    kinds = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]  # fmt: skip
    names = {0: "grey", 2: "rgb", 3: "palette", 4: "grey-alpha", 6: "rgba"}
    for color, bits in kinds:
        colors = min(1 << bits, 200) if color == 3 else None
        for interlaced in (False, True):
            suffix = "-interlaced" if interlaced else ""
            yield f"{names[color]}-{bits}{suffix}.png", png(13, 7, bits, color, interlaced, colors)
    yield "grey-16-dark.png", png(13, 7, 16, 0, largest=600)
    yield "trns-grey-8.png", png(13, 7, 8, 0, before=chunk(b"tRNS", b"\0\x11"))
    yield "trns-grey-16.png", png(13, 7, 16, 0, before=chunk(b"tRNS", b"\x11\x22"))
    yield "trns-grey-2-interlaced.png", png(13, 7, 2, 0, True, before=chunk(b"tRNS", b"\0\x01"))
    yield "trns-rgb-8.png", png(13, 7, 8, 2, before=chunk(b"tRNS", b"\0\1\0\2\0\3"))
    yield "trns-rgb-16.png", png(13, 7, 16, 2, before=chunk(b"tRNS", b"\1\1\2\2\3\3"))
    yield "trns-palette.png", png(13, 7, 4, 3, colors=16, before=chunk(b"tRNS", bytes(range(0, 160, 10))))
    yield "gamma.png", png(13, 7, 8, 2, before=chunk(b"gAMA", struct.pack(">I", 100000)))
    yield "size-1x1.png", png(1, 1, 8, 2)
    yield "size-1x1-interlaced.png", png(1, 1, 8, 2, True)
    yield "size-3x5-interlaced.png", png(3, 5, 1, 0, True)
    for orientation in range(1, 9):
        yield f"exif-{orientation}.png", png(13, 7, 8, 2, before=chunk(b"eXIf", exif(orientation)))
    yield "exif-late.png", png(13, 7, 8, 2, after=chunk(b"eXIf", exif(6, ">")))
    yield "exif-raw.png", png(13, 7, 8, 2, before=text_chunk(b"tEXt", b"Raw profile type exif", raw_profile(b"Exif\0\0" + exif(8))))  # fmt: skip
    yield "exif-raw-compressed.png", png(13, 7, 8, 2, before=text_chunk(b"zTXt", b"Raw profile type exif", raw_profile(exif(5))))  # fmt: skip
    yield "xmp.png", png(13, 7, 8, 2, before=text_chunk(b"iTXt", b"XML:com.adobe.xmp", XMP % 3))


def hostile_files():
    yield "hostile-many-scans.jpg", many_scans(picture(35, 27), 600)
    # 9,600 x 9,600 pixels of one colour in 12 KB.
    blank = zlib.compress(bytes((9600 // 8 + 1) * 9600), 9)
    header = struct.pack(">IIBBBBB", 9600, 9600, 1, 0, 0, 0, 0)
    yield "hostile-bomb.png", (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", blank) + chunk(b"IEND", b""))
    bomb = text_chunk(b"zTXt", b"Raw profile type exif", bytes(16 << 20))
    yield "hostile-text-bomb.png", png(13, 7, 8, 2, before=bomb)


RESIZES = {
    "420.jpg": [(35, 27), (70, 54), (61, 27), (35, 40), (13, 11), (1, 1), (100, 3), (3, 60), (34, 26), (20, 5), (36, 9)],
    "411.jpg": [(30, 7), (15, 61), (122, 14), (7, 15)],
}


def main():
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for old in GOLDEN.iterdir():
        old.unlink()
    expected, cases, resizes = bytearray(), [], []

    def record(image):
        entry = {"width": image.width, "height": image.height, "offset": len(expected)}
        expected.extend(image.tobytes())
        return entry

    for name, data in [*jpeg_files(), *png_files()]:
        (GOLDEN / name).write_bytes(data)
        with Image.open(io.BytesIO(bytes(data))) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        cases.append({"file": name, **record(image)})
        for size in RESIZES.get(name, []):
            resizes.append({"file": name, **record(image.resize(size, Image.Resampling.BILINEAR))})
    for name, data in hostile_files():
        (GOLDEN / name).write_bytes(data)
    (GOLDEN / "expected.bin").write_bytes(expected)
    manifest = {"pillow": PIL.__version__, "torch": torch.__version__, "cases": cases, "resizes": resizes}
    (GOLDEN / "cases.json").write_text(json.dumps(manifest, indent=1) + "\n")

    bytes_of_every_value = torch.arange(256, dtype=torch.uint8)[:, None].expand(256, 3)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalized = bytes_of_every_value.to(torch.float32).div(255).sub(mean).div(deviation)
    (GOLDEN / "normalized.bin").write_bytes(normalized.numpy().astype("<f4").tobytes())
    print(f"{len(cases)} files, {len(resizes)} resizes, {sum(f.stat().st_size for f in GOLDEN.iterdir())} bytes")


if __name__ == "__main__":
    main()
