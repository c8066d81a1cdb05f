# SPDX-License-Identifier: Apache-2.0
"""archive - libringpost_codec.a: one object that defines the public names and no others

    archive.py OUTPUT OBJCOPY AR VERSION_SCRIPT BASE LIBRARY... -- CC...

A program that links the archive may call its own functions what it likes. The price is that it gets
the whole library, some hundred KB.
"""

import os
import re
import subprocess
import sys


def main():
    separator = sys.argv.index("--")
    output, objcopy, archiver, script, base, *libraries = sys.argv[1:separator]
    compiler = sys.argv[separator + 1:]
    whole, names = output + ".o", output + ".names"
    with open(script, encoding="utf-8") as text, open(names, "w", encoding="utf-8") as out:
        exported = re.search(r"global:(.*?)local:", text.read(), re.DOTALL).group(1)
        out.write("\n".join(re.findall(r"\w+", exported)) + "\n")
    subprocess.run([*compiler, "-r", "-nostdlib", "-o", whole, "-Wl,--whole-archive", *libraries,
                    "-Wl,--no-whole-archive", base], check=True)
    subprocess.run([objcopy, f"--keep-global-symbols={names}", whole], check=True)
    if os.path.exists(output):
        os.unlink(output)
    subprocess.run([archiver, "rcsD", output, whole], check=True)
    os.unlink(whole)
    os.unlink(names)


main()
