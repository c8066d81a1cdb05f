# SPDX-License-Identifier: Apache-2.0
"""bars - how fast each operation has to be, and whether it is."""

from tables import print_columns, rate_text, size_text
from results import Case, copy_rates

KB, MB = 1 << 10, 1 << 20
LARGE = (16 * KB, 256 * KB, 8 * MB)
# memcpy, GB/s by size, of the machine that the bars in GB/s were set on: Zen 4 at 3.7 GHz.
REFERENCE = {1 * KB: 95, 16 * KB: 60, 256 * KB: 57, 8 * MB: 40}

# operation, input, sizes, least part of memcpy, least GB/s
BARS = (
    ("base64-encode", "plain", LARGE, 1.1, None),
    ("base64-encode", "plain", (1 * KB,), None, 80),
    ("base64-decode", "plain", LARGE, 1.0, None),
    ("base64-decode", "plain", (64,), None, 10),
    ("base64-encode", "lines-76", LARGE, 0.9, None),
    ("base64-encode", "lines-76", (1 * KB,), None, 55),
    ("base64-decode", "crlf-76", LARGE, 0.6, 35),
    ("base64-decode", "crlf-64", LARGE, None, 20),
    ("base64-decode", "lf-76", LARGE, None, 20),
    ("base64-decode", "irregular", LARGE, None, 20),
    ("qp_decode", "ascii", (256 * KB,), None, 30),
    ("qp_decode", "latin", (256 * KB,), None, 10),
    ("qp_decode", "cyrillic", (256 * KB,), None, 10),
    ("qp_decode", "html", (256 * KB,), None, 10),
    ("qp_encode", "ascii", (256 * KB,), None, 4),
    ("qp_encode", "latin", (256 * KB,), None, 2),
    ("qp_encode", "cyrillic", (256 * KB,), None, 1.2),
    ("qp_encode", "html", (256 * KB,), None, 2),
    ("scan_read", "ascii", (256 * KB,), None, 30),
    ("scan_read", "base64", (256 * KB,), None, 30),
    ("scan_read", "dots", (256 * KB,), None, 10),
    ("scan_read", "ascii", (1 * KB,), None, 18),
    ("scan_stuff", "ascii", (256 * KB,), None, 40),
    ("dkim_relaxed", "ascii", (256 * KB,), None, 30),
)


def verdict(measured, copy, size, part, rate):
    """"yes", "scaled" (as much of memcpy as the reference machine would need), "NO"."""
    if part is not None and measured < part * copy:
        return "NO"
    if rate is None or measured >= rate:
        return "yes"
    if size in REFERENCE and measured >= rate * copy / REFERENCE[size]:
        return "scaled"
    return "NO"


def print_bars(result):
    copies = copy_rates(result)
    lines = [["operation", "input", "size", "bar", "measured", "of memcpy", "met"]]
    for operation, given, sizes, part, rate in BARS:
        case = Case(result, operation, given)
        for size in sizes:
            measured, copy = case.ours(size), copies.get(size)
            if measured is None or copy is None:
                continue
            bar = " and ".join([f"{part} x memcpy"] * (part is not None)
                               + [f"{rate} GB/s"] * (rate is not None))
            lines.append([operation, given, size_text(size), bar, rate_text(measured),
                          f"{measured / copy:.2f}", verdict(measured, copy, size, part, rate)])
    if len(lines) == 1:
        return
    print("\nThe bars. scaled: not the GB/s, but the same part of memcpy as on the machine that the "
          "bar was set on.")
    level = result["machine"]["level"]
    if level != "avx512":
        print(f"They are for a CPU with AVX-512; this one has {level} at best.")
    print()
    print_columns(lines, 4)
    print()
