# SPDX-License-Identifier: Apache-2.0
"""exports - the version script of libringpost_codec: what its public headers declare, no more

    exports.py HEADER...        prints the script
    exports.py --names HEADER...   one name a line

The headers are in clang-format's form and hold no macro that declares anything.
"""

import re
import sys

NODE = "RINGPOST_CODEC_0"  # changes with the soversion


def declared(text):
    """Names of the functions and variables with external linkage that a header declares."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    text = re.sub(r'^\s*#.*$|extern "C" \{', "", text, flags=re.M)
    while "{" in text:  # bodies, structs and enums, from the inside out
        text, count = re.subn(r"\{[^{}]*\}", ";", text)
        if not count:
            break
    for statement in text.split(";"):
        statement = statement.strip(" \n\t}")
        function = re.match(r"(?!static\b|typedef\b)[\w\s*]*?\b(\w+)\s*\(", statement)
        variable = re.match(r"extern\s[\w\s*]*?\b(\w+)$", statement)
        if function or variable:
            yield (function or variable).group(1)


def main():
    names_only = sys.argv[1] == "--names"
    names = set()
    for path in sys.argv[1 + names_only:]:
        with open(path, encoding="utf-8") as header:
            names.update(declared(header.read()))
    if names_only:
        print("\n".join(sorted(names)))
        return
    print(f"{NODE} {{\n    global:")
    for name in sorted(names):
        print(f"        {name};")
    print("    local:\n        *;\n};")


main()
