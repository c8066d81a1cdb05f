# SPDX-License-Identifier: Apache-2.0
"""bars - how much of the bare primitive has to be left, and whether it is."""

import tables

ALONE = ("sha256", "ringpost", "one")
# what, figure, the bare one, least part of it, sizes. An aim is not a bar: a CPU may not allow it.
HASH_BARS = (
    ("one SHA-256 beside OpenSSL's", ALONE, ("sha256", "openssl", "one"), 0.95, "bar"),
    ("canonical and hashed, one message", ("body", "ringpost", "one"), ALONE, 0.92, "bar"),
    ("four at once beside one", ("sha256", "ringpost", "four"), ALONE, 3.0, "aim"),
    ("sixteen at once beside one", ("sha256", "ringpost", "sixteen"), ALONE, 3.0, "aim"),
    ("canonical and hashed, four at once", ("body", "ringpost", "four"), ALONE, 3.0, "aim"),
    ("canonical and hashed, sixteen at once", ("body", "ringpost", "sixteen"), ALONE, 3.0, "aim"),
)
# operation, what; ours takes at most that many times the bare one's CPU
TIME_BARS = (
    ("sign", "rsa-2048", 1.1),
    ("sign", "ed25519", 1.25),
    ("handshake", "p256", 1.25),
    ("handshake", "rsa-2048", 1.25),
)


def print_bars(results):
    lines = [["", "size", "", "measured", "met"]]
    for name, ours, bare, least, kind in HASH_BARS:
        for size in results.sizes():
            measured, base = results.rate(*ours, size), results.rate(*bare, size)
            if measured is None or base is None:
                continue
            lines.append([name, tables.size_text(size), f"{kind} {least} x", f"{measured / base:.2f}",
                          "yes" if measured / base >= least else "NO"])
    for operation, what, most in TIME_BARS:
        measured = results.seconds(operation, "ringpost", what)
        base = results.seconds(operation, "openssl", what)
        if measured is None or base is None:
            continue
        lines.append([f"{operation} {what}: CPU beside bare OpenSSL", "-", f"bar <= {most} x",
                      f"{measured / base:.2f}", "yes" if measured / base <= most else "NO"])
    tables.print_columns(lines, 3)
    print()
