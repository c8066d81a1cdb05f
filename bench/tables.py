# SPDX-License-Identifier: Apache-2.0
"""tables - what codec, crypto and relay print for people."""

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


def print_machine(machine):
    print(f"{machine_text(machine)}, core {machine['core']} of {machine['cores']}, load before: "
          f"{machine['load_before']}; best of {machine['repetitions']} runs, {machine['seconds']} s "
          "in all")
