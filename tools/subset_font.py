#!/usr/bin/env python3
"""Makes the font that labels are drawn with: Sources/CImageCodecs/font.c, a part of DejaVu Sans as C bytes.

Made with fonttools 4.68.0 from DejaVuSans.ttf 2.37 (Debian 12's fonts-dejavu-core):

    python3 tools/subset_font.py /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf

Kept: ASCII, Latin-1, Latin Extended-A, Greek, Cyrillic, a few marks of punctuation, and the replacement box. Dropped: hinting
(FreeType's own light hinting serves), layout tables and everything that drawing letters does not need.
"""

import argparse
import io
import pathlib

from fontTools import subset, ttLib
import fontTools

RANGES = [(0x20, 0x7E), (0xA0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF)]
PUNCTUATION = [0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2026, 0x20AC]
BYTES_A_LINE = 32


def subset_bytes(path):
    options = subset.Options()
    options.hinting = False
    options.layout_features = []
    options.notdef_outline = True
    options.glyph_names = False
    options.legacy_kern = False
    options.drop_tables += ["GDEF", "GPOS", "GSUB", "kern", "FFTM", "OS/2"]
    # Name 0 and 5 are the copyright and the version.
    options.name_IDs = [0, 1, 2, 5]
    font = ttLib.TTFont(path)
    subsetter = subset.Subsetter(options)
    points = [point for first, last in RANGES for point in range(first, last + 1)]
    subsetter.populate(unicodes=points + PUNCTUATION)
    subsetter.subset(font)
    # The file's date would make every run's bytes differ.
    font["head"].modified = font["head"].created
    font.recalcTimestamp = False
    output = io.BytesIO()
    font.save(output)
    return output.getvalue(), font["name"].getDebugName(5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("font", type=pathlib.Path, help="DejaVuSans.ttf")
    default = pathlib.Path(__file__).resolve().parent.parent / "Sources/CImageCodecs/font.c"
    parser.add_argument("--output", type=pathlib.Path, default=default)
    arguments = parser.parse_args()
    data, version = subset_bytes(arguments.font)
    lines = [
        f"// A part of DejaVu Sans ({version}) as bytes. Made by tools/subset_font.py with fonttools {fontTools.version}: don't edit.",
        "",
        '#include "font.h"',
        "",
        "const unsigned char cimage_font_bytes[] = {",
    ]
    for start in range(0, len(data), BYTES_A_LINE):
        lines.append("    " + ",".join(str(byte) for byte in data[start : start + BYTES_A_LINE]) + ",")
    lines += ["};", "", "const size_t cimage_font_byte_count = sizeof cimage_font_bytes;", ""]
    arguments.output.write_text("\n".join(lines))
    print(f"{arguments.output}: {len(data)} bytes")


if __name__ == "__main__":
    main()
