# SPDX-License-Identifier: Apache-2.0
"""picture - throughput by size, a panel an operation, as SVG that reads well on light and dark."""

import math
import os
from xml.sax.saxutils import escape

from tables import machine_text, rate_text, size_text
from results import LEVELS, Case, copy_rates

# title, operation, input
PANELS = (
    ("base64 encode", "base64-encode", "plain"),
    ("base64 decode, strict", "base64-decode", "plain"),
    ("base64 encode, lines of 76", "base64-encode", "lines-76"),
    ("base64 decode, lines of 76, strict", "base64-decode", "crlf-76"),
    ("quoted-printable encode, English", "qp_encode", "ascii"),
    ("quoted-printable encode, Latin", "qp_encode", "latin"),
    ("quoted-printable encode, Cyrillic", "qp_encode", "cyrillic"),
    ("quoted-printable encode, HTML", "qp_encode", "html"),
    ("quoted-printable decode, English", "qp_decode", "ascii"),
    ("quoted-printable decode, Latin", "qp_decode", "latin"),
    ("quoted-printable decode, Cyrillic", "qp_decode", "cyrillic"),
    ("quoted-printable decode, HTML", "qp_decode", "html"),
    ("reception, English", "scan_read", "ascii"),
    ("reception, short dotted lines", "scan_read", "dots"),
    ("dot-stuffing, English", "scan_stuff", "ascii"),
    ("DKIM relaxed, English", "dkim_relaxed", "ascii"),
    ("UTF-8 validation, Latin", "scan_utf8", "latin"),
    ("UTF-8 validation, Cyrillic", "scan_utf8", "cyrillic"),
    ("uuencode", "uu_encode", "crlf"),
    ("uudecode", "uu_decode", "crlf"),
)
COLUMNS = 4
WIDTH, HEIGHT = 272, 200                   # of a panel
LEFT, TOP, RIGHT, BOTTOM = 34, 38, 16, 26  # inside it, around the plot
HEAD, FOOT = 92, 12                        # of the picture

# who: class, name in the legend. Marks differ too: colour alone is not enough for everybody.
SERIES = {
    "memcpy": "memcpy",
    "ours": "ringpost, best kernel",
    "lower": "ringpost, AVX2",
    "scalar": "ringpost, scalar",
    "openssl": "OpenSSL",
    "glib": "GLib",
    "gmime": "GMime",
    "simdjson": "simdjson",
    "memchr": "memchr() loop",
    "loop": "octet loop",
}
STYLE = """
text { font: 11px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f }
.h { font-size: 17px; font-weight: 600 }
.t { font-size: 12px; font-weight: 600 }
.s { fill: #57606a }
.back { fill: #ffffff }
.grid { stroke: #d8dee4; stroke-width: 1; fill: none }
.l { fill: none; stroke-width: 1.5; stroke-linejoin: round }
.m { stroke: none }
.memcpy { stroke: #8c959f; fill: #8c959f; stroke-dasharray: 2 3 }
.ours { stroke: #0969da; fill: #0969da; stroke-width: 2.5 }
.lower { stroke: #54aeff; fill: #54aeff }
.scalar { stroke: #0969da; fill: #0969da; stroke-dasharray: 5 3 }
.openssl { stroke: #bc4c00; fill: #bc4c00 }
.glib { stroke: #1a7f37; fill: #1a7f37 }
.gmime { stroke: #bf3989; fill: #bf3989 }
.simdjson { stroke: #8250df; fill: #8250df }
.memchr { stroke: #9a6700; fill: #9a6700 }
.loop { stroke: #57606a; fill: #57606a }
.l.memcpy, .l.ours, .l.lower, .l.scalar, .l.openssl, .l.glib, .l.gmime, .l.simdjson, .l.memchr, .l.loop
{ fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.s { fill: #9198a1 }
.back { fill: #0d1117 }
.grid { stroke: #2a313c }
.memcpy { stroke: #7d8590; fill: #7d8590 }
.ours, .scalar { stroke: #4493f8; fill: #4493f8 }
.lower { stroke: #1f6feb; fill: #1f6feb }
.openssl { stroke: #f0883e; fill: #f0883e }
.glib { stroke: #3fb950; fill: #3fb950 }
.gmime { stroke: #f778ba; fill: #f778ba }
.simdjson { stroke: #a371f7; fill: #a371f7 }
.memchr { stroke: #d29922; fill: #d29922 }
.loop { stroke: #9198a1; fill: #9198a1 }
}
"""


def mark(series, x, y):
    """A point: a circle for ours, another shape for each of theirs."""
    shapes = {
        "openssl": "M-3.2 -3.2h6.4v6.4h-6.4z",
        "glib": "M0 -4L3.8 3H-3.8z",
        "gmime": "M0 -4.2L4.2 0L0 4.2L-4.2 0z",
        "simdjson": "M-3.8 0L-1.9 -3.4H1.9L3.8 0L1.9 3.4H-1.9z",
        "memchr": "M0 4L3.8 -3H-3.8z",
        "loop": "M-3.6 -1.2h2.4v-2.4h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4z",
    }
    if series == "memcpy":
        return ""
    if series in shapes:
        return f'<path class="m {series}" transform="translate({x:.1f} {y:.1f})" ' \
               f'd="{shapes[series]}"/>'
    return f'<circle class="m {series}" cx="{x:.1f}" cy="{y:.1f}" r="{3 if series == "ours" else 2}"/>'


class Axes:
    """The same in every panel, so that panels can be compared: both logarithmic."""

    def __init__(self, sizes, rates):
        self.sizes = sizes
        self.low = math.floor(math.log10(min(rates)))
        self.high = math.ceil(math.log10(max(rates)))

    def x(self, size):
        first, last = math.log2(self.sizes[0]), math.log2(self.sizes[-1])
        part = (math.log2(size) - first) / ((last - first) or 1)
        return LEFT + 6 + part * (WIDTH - LEFT - RIGHT - 12)

    def y(self, rate):
        part = (math.log10(rate) - self.low) / ((self.high - self.low) or 1)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def grid(self):
        parts = []
        for power in range(self.low, self.high + 1):
            y = self.y(10 ** power)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text class="s" x="{LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">'
                         f'{10 ** power:g}</text>')
        for size in self.sizes:
            parts.append(f'<text class="s" x="{self.x(size):.1f}" y="{HEIGHT - BOTTOM + 15}" '
                         f'text-anchor="middle">{size_text(size)}</text>')
        return parts


def series_of(case, copy):
    """(series, {size: GB/s}), what is drawn last on top."""
    lines = {"memcpy": copy}
    for who in sorted(case.whos(), key=lambda who: (who in LEVELS, who)):
        name = {case.level: "ours", "scalar": "scalar"}.get(who, "lower" if who in LEVELS else who)
        lines[name] = {size: rate for (one, size), rate in case.rates.items() if one == who}
    return {name: lines[name] for name in (*(n for n in lines if n != "ours"), "ours")
            if name in lines and name in SERIES}


def best_text(case):
    """What one would ask first, at the size where text does not fit a first-level cache."""
    size = max((size for size in case.sizes() if size <= 256 << 10), default=None)
    ours, other = size and case.ours(size), size and case.best_other(size)
    if not ours:
        return ""
    text = f"{rate_text(ours)} GB/s at {size_text(size)}"
    if other:
        factor = ours / other[1]
        text += f", {factor:.{0 if factor >= 10 else 1}f} × {SERIES.get(other[0], other[0])}"
    return text


def panel(title, case, copy, axes):
    parts = [f'<text class="t" x="{LEFT}" y="14">{escape(title)}</text>',
             f'<text class="s" x="{LEFT}" y="28">{escape(best_text(case))}</text>', *axes.grid()]
    for name, rates in series_of(case, copy).items():
        points = [(axes.x(size), axes.y(rate)) for size, rate in sorted(rates.items())]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path class="l {name}" d="M{path}"/>')
        parts += [mark(name, x, y) for x, y in points]
    return parts


def legend(names, best):
    parts, x = [], LEFT
    for name in SERIES:
        if name not in names:
            continue
        text = SERIES[name].replace("best kernel", best)
        parts.append(f'<path class="l {name}" d="M{x} {HEAD - 20}h22"/>'
                     + mark(name, x + 11, HEAD - 20)
                     + f'<text x="{x + 28}" y="{HEAD - 16}">{escape(text)}</text>')
        x += 46 + round(6.2 * len(text))
    return parts


def draw(path, result):
    copy = copy_rates(result)
    panels = [(title, Case(result, operation, given)) for title, operation, given in PANELS]
    panels = [(title, case) for title, case in panels if case.rates]
    rates = [*copy.values(), *(rate for _, case in panels for rate in case.rates.values())]
    axes = Axes(sorted(copy), rates)
    width = COLUMNS * WIDTH + 8
    height = HEAD + math.ceil(len(panels) / COLUMNS) * HEIGHT + FOOT
    names = {name for _, case in panels for name in series_of(case, copy)}
    machine = result["machine"]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="Throughput of the codecs by size">',
        f"<style>{STYLE}</style>", f'<rect class="back" width="{width}" height="{height}"/>',
        f'<text class="h" x="{LEFT}" y="26">Throughput by size: GB of encoded text a second</text>',
        f'<text class="s" x="{LEFT}" y="46">'
        f'{escape(machine_text(machine))}; one core, best of {machine["repetitions"]} runs; '
        'size: octets before encoding; both axes logarithmic</text>',
        *legend(names, machine["level"].upper().replace("AVX512", "AVX-512"))]
    for i, (title, case) in enumerate(panels):
        x, y = 4 + i % COLUMNS * WIDTH, HEAD + i // COLUMNS * HEIGHT
        out.append(f'<g transform="translate({x} {y})">')
        out += panel(title, case, copy, axes)
        out.append("</g>")
    out.append("</svg>")
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")
