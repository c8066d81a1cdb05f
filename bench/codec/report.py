# SPDX-License-Identifier: Apache-2.0
"""report - the table for people."""

from results import LEVELS, cases, copy_rates

UNITS = ((1 << 20, "MB"), (1 << 10, "KB"), (1, "B"))


def size_text(size):
    unit, name = next(pair for pair in UNITS if size >= pair[0])
    return f"{size // unit} {name}"


def rate_text(rate):
    if rate is None:
        return "-"
    return f"{rate:.1f}" if rate >= 10 else f"{rate:.2f}"


def print_columns(lines, left):
    """The first `left` columns hold words, the others figures."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [text.ljust(width) if i < left else text.rjust(width)
                 for i, (text, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def machine_text(machine):
    return (f"{machine['cpu']}, {machine['level']} in force, Linux {machine['kernel']}, "
            f"{machine['time']}")


def print_machine(result):
    machine = result["machine"]
    print(f"{machine_text(machine)}, core {machine['core']} of {machine['cores']}, load before: "
          f"{machine['load_before']}; best of {machine['repetitions']} runs, {machine['seconds']} s "
          "in all")


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
