# SPDX-License-Identifier: Apache-2.0
"""libringpost_codec as others get it: installed, used statically and shared, in C and in C++."""
import os
import pathlib
import re
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
PREFIXES = ("codec_", "scan_", "simd_")
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror"]

# The programs of docs/CODEC.md: what goes in, what must come out.
PROGRAMS = {
    "lines.c": (b"", b"T25lIGxpbmUgb2YgYmFzZTY0IHRha2VzIDU3IG9jdGV0cyBvZiBkYXRhOyB0aGlzIHRleHQgaGFz\r\n"
                     b"IGEgZmV3IG1vcmUu\r\n"
                     b"the same\nwrong at offset 10\n"),
    "filter.c": (b"caf\xc3\xa9 = coffee \r\nFrom here", b"caf=C3=A9 =3D coffee=20\r\n=46rom here"),
    "receive.c": (b"", b"Subject: dots\r\n\r\n.one dot\r\nbare \n feed\r\n"
                       b"longest line 13, bare LF, next command QUIT\n"),
}


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=300,
                          check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout


class Installed:
    """The library in a folder of its own, built where no other package can be found."""

    def __init__(self, folder):
        self.folder = folder
        alone = {**os.environ, "PKG_CONFIG_LIBDIR": "/nonexistent"}
        build = folder / "build"
        self.root = folder / "root"
        run("meson", "setup", build, TOP, "-Dlibrary_only=true", "-Dtests=disabled",
            "--buildtype=release", "--prefix=/usr", "--libdir=lib", env=alone)
        run("ninja", "-C", build, env=alone)
        run("meson", "install", "-C", build, "--no-rebuild", "--destdir", self.root, env=alone)
        self.include = self.root / "usr" / "include"
        self.lib = self.root / "usr" / "lib"

    def headers(self):
        return sorted(self.include.rglob("*.h"))

    def flags(self, *options):
        words = run("pkg-config", *options, "--cflags", "--libs", "ringpost_codec",
                    env={**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(self.root),
                         "PKG_CONFIG_LIBDIR": str(self.lib / "pkgconfig")})
        return words.decode().split()

    def names(self):
        """What the headers declare."""
        return set(run(sys.executable, TOP / "src/codec/exports.py", "--names",
                       *self.headers()).decode().split())

    def compile(self, source, static):
        program = source.with_suffix(".static" if static else ".shared")
        run("cc", "-std=c11", *WARNINGS, "-o", program, source, *["-static"] * static,
            *self.flags(*["--static"] * static))
        return program

    def run(self, program, given=b"", **environment):
        return run(program, input=given, env={**os.environ, "LD_LIBRARY_PATH": str(self.lib),
                                              **environment})


@pytest.fixture(scope="module", name="library")
def installed_library(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("library"))


def defined(path, *options):
    text = run("nm", *options, "--defined-only", path).decode()
    return set(re.findall(r"^[0-9a-f]+ [TDBRV] ([\w.]+)", text, re.MULTILINE))


# ---- what is installed ----------------------------------------------------------------------------


def test_all_headers_are_installed(library):
    ours = {path.relative_to(TOP / "include") for path in TOP.glob("include/ringpost/codec/*.h")}
    ours |= {pathlib.Path("ringpost", f"{name}.h") for name in ("codec", "scan", "simd")}
    assert {path.relative_to(library.include) for path in library.headers()} == ours


@pytest.mark.parametrize("language", ["c11", "c17", "c++17"])
def test_each_header_compiles_by_itself(library, language, tmp_path):
    for path in library.headers():
        compiler, suffix = ("c++", "cc") if "+" in language else ("cc", "c")
        source = tmp_path / f"one.{suffix}"
        source.write_text(f"#include <{path.relative_to(library.include)}>\n", encoding="utf-8")
        run(compiler, f"-std={language}", *WARNINGS, "-I", library.include, "-c", source, "-o",
            tmp_path / "one.o")


def test_the_shared_object_exports_what_the_headers_declare(library):
    exported = defined(library.lib / "libringpost_codec.so", "-D")
    assert exported == library.names()
    assert all(name.startswith(PREFIXES) for name in exported)


def test_the_compiler_sees_the_same_declarations(library, tmp_path):
    """exports.py reads the headers by itself: does it miss any?"""
    source = tmp_path / "all.c"
    source.write_text("".join(f"#include <{path.relative_to(library.include)}>\n"
                              for path in library.headers()), encoding="utf-8")
    run("cc", "-std=c11", "-I", library.include, "-c", source, "-o", tmp_path / "all.o",
        "-aux-info", tmp_path / "all.protos")
    text = (tmp_path / "all.protos").read_text(encoding="utf-8")
    functions = re.findall(r"/ringpost/\S+ \*/ extern .*?\b(\w+) \(", text)
    assert functions
    assert set(functions) == library.names() - {"simd_in_force"}


def test_the_shared_object_needs_only_libc(library):
    path = library.lib / "libringpost_codec.so"
    text = run("readelf", "-d", path).decode()
    assert re.findall(r"\(SONAME\).*\[(.*)\]", text) == ["libringpost_codec.so.0"]
    assert re.findall(r"\(NEEDED\).*\[(.*)\]", text) == ["libc.so.6"]


def test_the_archive_defines_the_same_names(library):
    assert defined(library.lib / "libringpost_codec.a", "-g") == library.names()


# ---- what uses it ----------------------------------------------------------------------------------


def programs_of_the_documentation():
    text = (TOP / "docs" / "CODEC.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```c\n(/\* (\S+):.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return {name: code for code, name in blocks}


def test_no_program_of_the_documentation_is_forgotten():
    assert set(programs_of_the_documentation()) == set(PROGRAMS)


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_of_the_documentation(library, name, static, tmp_path):
    source = tmp_path / name
    source.write_text(programs_of_the_documentation()[name], encoding="utf-8")
    program = library.compile(source, static)
    given, expected = PROGRAMS[name]
    for level in ("", "scalar"):
        assert library.run(program, given, RINGPOST_SIMD=level) == expected
    if not static:
        needed = run("ldd", program, env={**os.environ, "LD_LIBRARY_PATH": str(library.lib)})
        found = set(re.findall(r"^\s*(\S+?)\.so", needed.decode(), re.MULTILINE))
        assert {pathlib.Path(word).name for word in found} <= {
            "linux-vdso", "libringpost_codec", "libc", "ld-linux-x86-64", "ld-linux-aarch64"}


def test_a_program_in_cplusplus(library, tmp_path):
    source = tmp_path / "level.cc"
    source.write_text('#include <ringpost/codec.h>\n#include <ringpost/simd.h>\n'
                      '#include <cstdio>\n'
                      'int main() { std::puts(simd_name(simd_level())); }\n', encoding="utf-8")
    run("c++", "-std=c++17", *WARNINGS, "-o", tmp_path / "level", source, *library.flags())
    assert library.run(tmp_path / "level", RINGPOST_SIMD="scalar") == b"scalar\n"
    assert library.run(tmp_path / "level", RINGPOST_SIMD="") in (b"scalar\n", b"neon\n", b"avx2\n",
                                                                b"avx512\n")
