# SPDX-License-Identifier: Apache-2.0
"""Encoded-words and uuencode by `ringpost codec` against Python, Perl's Encode and sharutils."""
import base64
import binascii
import email._header_value_parser as header_parser
import random
import shutil
import subprocess
from email.header import Header, decode_header, make_header

import pytest

SAMPLES = {
    "us-ascii": "plain text, =?no words?= (almost) \\ \"quoted\"",
    "utf-8": "Gr\u00fc\u00dfe \u2014 \u041f\u0440\u0438\u0432\u0435\u0442, \u65e5\u672c "
             "\U0001f600!",
    "iso-8859-1": "Andr\u00e9 \u00a3 \u00df \u00ff \u00c6",
    "iso-8859-2": "\u0158\u00edzen\u00ed \u017dlu\u0165ou\u010dk\u00fd \u0141\u00f3d\u017a",
    "iso-8859-5": "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440",
    "iso-8859-7": "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1",
    "iso-8859-8": "\u05e9\u05dc\u05d5\u05dd",
    "iso-8859-9": "\u0130stanbul \u015fehri \u011fa",
    "iso-8859-15": "100 \u20ac \u0160\u017d\u0152",
    "windows-1250": "P\u0159\u00edli\u0161 \u201cuvozovky\u201d",
    "windows-1251": "\u0421\u044a\u0435\u0448\u044c \u0435\u0449\u0451 \u00ab\u0431\u0443\u00bb",
    "windows-1252": "\u201csmart\u201d \u2013 quotes \u2026 \u20ac \u0178",
    "windows-1254": "\u0131\u011f\u00fc\u015f\u00f6\u00e7 \u20ac",
    "koi8-r": "\u042d\u0442\u043e \u043f\u0438\u0441\u044c\u043c\u043e",
    "koi8-u": "\u0407\u0436\u0430\u043a \u0454",
    "shift_jis": "\u65e5\u672c\u8a9e\u306e\u4ef6\u540d\u30c6\u30b9\u30c8",
    "euc-jp": "\u65e5\u672c\u8a9e\u306e\u4ef6\u540d",
    "iso-2022-jp": "\u65e5\u672c\u8a9e\u306e\u4ef6\u540d mixed \u30c6\u30b9\u30c8",
    "gb2312": "\u4e2d\u6587\u90ae\u4ef6\u6807\u9898",
    "gb18030": "\u4e2d\u6587\u90ae\u4ef6\u6807\u9898 \u20ac",
    "big5": "\u7e41\u9ad4\u4e2d\u6587\u4e3b\u984c",
    "euc-kr": "\ud55c\uad6d\uc5b4 \uc81c\ubaa9",
}


@pytest.fixture(name="codec")
def codec_fixture(binary):
    def run(octets, *arguments):
        done = subprocess.run([str(binary), "codec", *arguments], input=octets,
                              capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return run


def decoded(codec, text):
    return codec(text.encode(), "words", "--decode").decode()[:-1]


def q_word(text, charset, language=""):
    octets = "".join(f"={octet:02X}" for octet in text.encode(charset))
    return f"=?{charset}{language}?Q?{octets}?="


def b_word(text, charset):
    return f"=?{charset}?B?{base64.b64encode(text.encode(charset)).decode()}?="


@pytest.mark.parametrize("charset", SAMPLES)
def test_charsets(codec, charset):
    text = SAMPLES[charset]
    for word in (q_word(text, charset), b_word(text, charset), q_word(text, charset.upper())):
        assert decoded(codec, word) == text == str(make_header(decode_header(word)))
    written = Header(text * 5, charset, maxlinelen=76).encode(linesep="\r\n")
    assert decoded(codec, written) == text * 5


def random_subject(rng):
    kinds = ["abc XYZ 019", "\u00e9\u00fc\u00df\u00f1", "\u0416\u0434\u0438 ", "\u65e5\u672c\u8a9e",
             "\U0001f600\U0001f680", " =?_()\"\\.,;"]
    kinds = rng.sample(kinds, rng.randint(1, 3))
    return "".join(rng.choice(rng.choice(kinds)) for _ in range(rng.randint(1, 120)))


def test_our_words(codec):
    """What we write, Python and Perl read as it was; lines and words keep to RFC 2047."""
    rng = random.Random(2047)
    subjects, written = [], []
    for _ in range(250):
        subject = random_subject(rng).strip() + "\u00e9"
        field = codec(subject.encode() + b"\n", "words").decode()
        assert field.endswith("\r\n") and all(len(line) <= 76 for line in field.split("\r\n"))
        assert all(len(word) <= 75 for word in field.split())
        assert str(make_header(decode_header(field))) == subject
        subjects.append(subject)
        written.append(field.rstrip())
    program = 'local $/ = "\\0"; while (<STDIN>) { chomp; ' \
              'print encode("UTF-8", decode("MIME-Header", $_)), "\\0" }'
    done = subprocess.run(["perl", "-MEncode", "-e", program], input="\0".join(written).encode(),
                          capture_output=True, timeout=60, check=True)
    assert done.stdout.decode().split("\0")[:-1] == subjects


def test_their_words(codec):
    rng = random.Random(822)
    for _ in range(250):
        subject = random_subject(rng).strip()
        field = Header(subject, "utf-8", maxlinelen=76).encode(linesep="\r\n")
        assert decoded(codec, field) == subject


def test_mixtures(codec):
    """Words between text and other words, with one space: Python's newer parser and we agree."""
    rng = random.Random(2231)
    for _ in range(250):
        parts = []
        for _ in range(rng.randint(1, 8)):
            charset = rng.choice(list(SAMPLES))
            text = SAMPLES[charset][:rng.randint(1, 8)]
            parts.append(rng.choice([q_word(text, charset), b_word(text, charset), "text", "a=?b",
                                     "(x)", "=?x", q_word(text, charset, "*en")]))
        field = " ".join(parts)
        assert decoded(codec, field) == str(header_parser.get_unstructured(field)), field


def test_long_fields(codec):
    """Thousands of words, and as many beginnings of words, in one field."""
    word = q_word("\u00e9", "utf-8")
    assert decoded(codec, " ".join([word] * 20000)) == "\u00e9" * 20000
    for piece in ("=?utf-8?q?", "=?", "=?a?b?", "?="):
        text = piece * (800000 // len(piece))
        assert decoded(codec, text) == text


# ---- uuencode ------------------------------------------------------------------------------------

@pytest.mark.skipif(shutil.which("uuencode") is None, reason="no sharutils")
@pytest.mark.parametrize("size", [0, 1, 2, 3, 44, 45, 46, 1000, 100001])
def test_sharutils(codec, size, tmp_path):
    data = random.Random(size).randbytes(size)
    theirs = subprocess.run(["uuencode", "name with space"], input=data, capture_output=True,
                            check=True, timeout=60).stdout
    assert codec(theirs, "uuencode", "--decode") == data
    ours = codec(data, "uuencode", "name")
    assert ours.split(b"\r\n")[1:] == theirs.replace(b"\n", b"\r\n").split(b"\r\n")[1:]
    out = tmp_path / "out"
    subprocess.run(["uudecode", "-o", str(out)], input=ours.replace(b"\r\n", b"\n"), check=True,
                   timeout=60)
    assert out.read_bytes() == data


def test_any_line_length(codec):
    """Lines of 1 to 45 octets, as others write them."""
    rng = random.Random(5)
    for _ in range(40):
        data, rows, at = rng.randbytes(rng.randrange(3000)), [], 0
        length = rng.randint(1, 45)
        while at < len(data):
            size = length if rng.randrange(4) else rng.randint(1, 45)
            rows.append(binascii.b2a_uu(data[at:at + size], backtick=bool(rng.randrange(2))))
            at += size
        text = b"begin 644 x\n" + b"".join(rows) + b"`\nend\n"
        assert codec(text, "uuencode", "-d") == data
