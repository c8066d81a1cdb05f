# SPDX-License-Identifier: Apache-2.0
"""Canonical bodies against dkimpy's (python3-dkim), with every level that this CPU has."""
import ctypes
import os
import pathlib
import random

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
MODES = {b"simple": 0, b"relaxed": 1}
LEVELS = ("scalar", "neon", "avx2", "avx512")
WORDS = [b"word", b"\xd1\x81\xd0\xbb\xd0\xbe\xd0\xb2\xd0\xbe", b"=20", b".", b"<br>", b"\r",
         b"\n", b"\0", b"x" * 90]
SPACES = [b" ", b" ", b" ", b"  ", b"\t", b" \t ", b" " * 40]
ENDS = [b"\r\n", b"\r\n", b"\r\n", b" \r\n", b"\t \r\n", b"\r\n\r\n\r\n", b"\r\n \r\n", b"\r\r\n"]


def library_paths():
    if "RINGPOST_BINARY" in os.environ:
        yield pathlib.Path(os.environ["RINGPOST_BINARY"]).parents[1]
    for build in ("release", "debug"):
        yield TOP / "build" / build / "src"


@pytest.fixture(scope="module", name="codec")
def loaded_codec():
    for folder in library_paths():
        path = folder / "codec" / "libringpost_codec.so"
        if path.exists():
            codec = ctypes.CDLL(str(path))
            codec.codec_dkim_canonical.restype = ctypes.c_size_t
            codec.codec_dkim_canonical.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
                                              ctypes.c_int]
            codec.simd_select.restype = ctypes.c_bool
            return codec
    return pytest.skip("no libringpost_codec.so: build it")


def body(dice):
    """Lines of words; the last one is ended, for dkimpy keeps white space at the end of one that is
    not, and the RFC does not say."""
    text = b""
    for _ in range(dice.randrange(12)):
        for _ in range(dice.randrange(14)):
            text += dice.choice(WORDS) + dice.choice(SPACES)
        text += dice.choice(ENDS)
    return text


def ours(codec, text, mode):
    out = ctypes.create_string_buffer(len(text) + 2)
    size = codec.codec_dkim_canonical(text, len(text), out, mode)
    return out.raw[:size]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mode", MODES)
def test_bodies(codec, level, mode):
    theirs = pytest.importorskip("dkim.canonicalization").ALGORITHMS[mode].canonicalize_body
    if not codec.simd_select(LEVELS.index(level)):
        pytest.skip(f"this CPU has no {level}")
    dice = random.Random(6376)
    for _ in range(2000):
        text = body(dice)
        assert ours(codec, text, MODES[mode]) == theirs(text), text
