#!/usr/bin/env python3
"""Reads undistorted symbols that CodeImages draws with an independent decoder: zxing-cpp 3.1.1, Pillow 13.0.0.

    swift build -c release --product symbol-probe
    tools/check_symbols.py .build/release/symbol-probe [COUNT]

At least 95% of the symbols of each class must be read, with the content that was encoded and at the place where its box says.
Among the linear symbologies a few have no reader in zxing-cpp (Telepen, Code 11, Plessey, ...) and count as unread.
"""

import collections
import json
import subprocess
import sys
import tempfile

import zxingcpp
from PIL import Image


def normalised(text):
    return "".join(character for character in text if character.isalnum())


def upc_a(digits):
    """A UPC-E's six digits as the UPC-A that decoders report (GS1 General Specifications 5.2.2.4.2), without check digit."""
    last = digits[5]
    if last in "012":
        return "0" + digits[:2] + last + "0000" + digits[2:5]
    if last in "34":
        return "0" + digits[:int(last)] + "00000" + digits[int(last):5]
    return "0" + digits[:5] + "0000" + last


def is_equal(read, written):
    # Decoders add check digits and leave out GS1 brackets, start and stop letters.
    if len(written) == 6 and written.isdigit() and upc_a(written) in read:
        return True
    main, _, add_on = written.partition("+")
    if main.isdigit() and add_on.isdigit():
        return main in read and read.endswith(add_on)
    read, written = normalised(read), normalised(written)
    return written in read or (read and read in written) or read[:-1].lstrip("0") == written.lstrip("0")


def main():
    probe, count = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "500"
    results = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as folder:
        lines = subprocess.run([probe, folder, count, "1"], check=True, capture_output=True, text=True).stdout
        for record in map(json.loads, filter(None, lines.split("\n"))):
            image = Image.open(record["path"])
            found = zxingcpp.read_barcodes(image, ean_add_on_symbol=zxingcpp.EanAddOnSymbol.Read)
            if not found:
                outcome = "unread"
            elif not any(is_equal(code.text, record["content"]) for code in found):
                outcome = "other content"
                print(record["kind"], repr(record["content"]), [code.text for code in found])
            else:
                points = [
                    point
                    for code in found
                    for point in (
                        code.position.top_left, code.position.top_right, code.position.bottom_left, code.position.bottom_right)
                ]
                left, top, right, bottom = record["box"]
                slack = 0.06 * max(right - left, bottom - top) + 4
                inside = all(left - slack <= p.x <= right + slack and top - slack <= p.y <= bottom + slack for p in points)
                wide = max(p.x for p in points) - min(p.x for p in points) >= 0.8 * (right - left) - slack
                outcome = "read" if inside and wide else "elsewhere"
            results[record["kind"]][outcome] += 1
            if outcome == "unread" and "-v" in sys.argv:
                print(record)
    for kind, outcomes in results.items():
        total = sum(outcomes.values())
        print(f"{kind}: {outcomes['read'] / total:.1%} of {total} read; {dict(outcomes)}")


if __name__ == "__main__":
    main()
