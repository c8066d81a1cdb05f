# SPDX-License-Identifier: Apache-2.0
"""report - the table for people."""

from tables import print_columns, rate_text, size_text
from results import LEVELS, cases, copy_rates


def print_table(result):
    copy = copy_rates(result)
    present = {row["who"] for row in result["rows"]}
    levels = [level for level in LEVELS if level in present]
    print("\nGB of text (the encoded side) a second; of memcpy: the best kernel's, as a part of a "
          "copy of the same size\n")
    print_columns([["memcpy", *map(size_text, copy)], ["GB/s", *map(rate_text, copy.values())]], 1)
    print()
    lines = [["operation", "input", "size", *levels, "of memcpy", "best other", "ours/other"]]
    for case in cases(result):
        for size in case.sizes():
            ours, other = case.ours(size), case.best_other(size)
            lines.append([
                case.operation, case.input, size_text(size),
                *(rate_text(case.rate(level, size)) for level in levels),
                f"{ours / copy[size]:.2f}" if ours and copy.get(size) else "-",
                f"{other[0]} {rate_text(other[1])}" if other else "-",
                f"{ours / other[1]:.1f}" if ours and other else "-"])
    print_columns(lines, 2)
