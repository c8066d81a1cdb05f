# SPDX-License-Identifier: Apache-2.0
"""`ringpost codec`: each operation on 0 octets to 1 MB, next to Python's own modules."""
import base64
import binascii
import quopri
import random
import re
import subprocess
import threading

import pytest

SIZES = [0, 1, 2, 3, 44, 45, 46, 57, 75, 76, 77, 255, 1000, 65535, 65536, 65537, 1 << 20]


@pytest.fixture(name="codec")
def codec_fixture(binary):
    """codec(octets, arguments...) gives what comes out; how(...) the whole result."""
    def how(octets, *arguments):
        return subprocess.run([str(binary), "codec", *arguments], input=octets,
                              capture_output=True, timeout=120, check=False)

    def run(octets, *arguments):
        done = how(octets, *arguments)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout
    run.how = how
    run.binary = str(binary)
    return run


def fails(done, offset, written=None):
    assert done.returncode == 1
    assert done.stderr.decode().rstrip().endswith(f"at offset {offset}"), done.stderr
    if written is not None:
        assert done.stdout == written


def random_octets(size):
    return random.Random(size).randbytes(size)


def random_text(size, alphabet=("a", "b c", " ", "  ", "\t", "=", ".", "From ", "\u00e9", "\u20ac",
                                "\r\n", "\r\n", "\r\n.", "\r\n\r\n", " \r\n", "x" * 90)):
    rng, parts, length = random.Random(size), [], 0
    while length < size:
        parts.append(rng.choice(alphabet).encode())
        length += len(parts[-1])
    return b"".join(parts)[:size]


def lines(octets, length, end=b"\r\n"):
    return b"".join(octets[i:i + length] + end for i in range(0, len(octets), length))


# ---- base64 --------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", SIZES)
def test_base64(codec, size):
    data = random_octets(size)
    plain = base64.b64encode(data)
    assert codec(data, "base64") == lines(plain, 76)
    assert codec(data, "base64", "--wrap", "0") == plain
    assert codec(data, "base64", "-w64") == lines(plain, 64)
    for text in (plain, lines(plain, 76), base64.encodebytes(data), lines(plain, 7, b" \t\r\n")):
        assert codec(text, "base64", "--decode") == data
        assert codec(text, "base64", "-d", "--strict") == data
    noisy = lines(plain, 19, b"\x80*\x00-")
    assert codec(noisy, "base64", "-d", "--lenient") == data


def test_base64_errors(codec):
    text = lines(base64.b64encode(random_octets(100000)), 76)
    for at in (0, 3, 77, 65535, 65536, 70001, len(text) - 2):
        fails(codec.how(text[:at] + b"*" + text[at + 1:], "base64", "-d"), at)
    fails(codec.how(b"QUJD\r\nRA\r\n", "base64", "-d"), 10, b"ABC")
    fails(codec.how(b"QUI=QUI=", "base64", "-d"), 4)


# ---- quoted-printable ----------------------------------------------------------------------------

def are_good_lines(text):
    rows = text.split(b"\r\n")
    return all(len(row) <= 76 and re.fullmatch(rb"[\t -~]*", row) and row[-1:] not in (b" ", b"\t")
               for row in rows)


@pytest.mark.parametrize("size", SIZES)
def test_qp(codec, size):
    data, text = random_octets(size), random_text(size)
    binary = codec(data, "qp", "--binary")
    assert are_good_lines(binary) and quopri.decodestring(binary) == data
    assert codec(binary, "qp", "--decode", "--strict") == data
    encoded = codec(text, "qp")
    assert are_good_lines(encoded) and quopri.decodestring(encoded) == text
    assert codec(encoded, "qp", "-d") == text
    careful = codec(text, "qp", "--escape-from", "--escape-dot")
    assert not re.search(rb"(?m)^(From |\.)", careful) and quopri.decodestring(careful) == text


@pytest.mark.parametrize("size", SIZES[:-1])
def test_qp_of_python(codec, size):
    data = random_octets(size)
    text = binascii.b2a_qp(data, istext=False).replace(b"=\n", b"=\r\n")
    assert codec(text, "qp", "-d") == data


def test_qp_errors(codec):
    assert codec(b"a=zz=4", "qp", "-d") == b"a=zz=4"
    fails(codec.how(b"abc=zz", "qp", "-d", "--strict"), 4)
    fails(codec.how(b"abc\xff", "qp", "-d", "--strict"), 3)


# ---- uuencode ------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", SIZES)
def test_uuencode(codec, size):
    data = random_octets(size)
    rows = [binascii.b2a_uu(data[i:i + 45], backtick=True) for i in range(0, size, 45)]
    unix = b"begin 644 a b.bin\n" + b"".join(rows) + b"`\nend\n"
    assert codec(data, "uuencode", "a b.bin") == unix.replace(b"\n", b"\r\n")
    spaces = [binascii.b2a_uu(data[i:i + 45]) for i in range(0, size, 45)]
    for text in (unix, unix.replace(b"\n", b"\r\n"), unix.replace(b"`", b" "),
                 b"begin 64\n" + b"x" * 70000 + b"begin 644 x\n" + unix + b"\nMore.\n",
                 b"begin 755 x\n" + b"".join(row.rstrip() + b"\n" for row in spaces) + b"\nend\n"):
        assert codec(text, "uuencode", "--decode") == data


def test_uuencode_errors(codec):
    text = codec(random_octets(100000), "uuencode", "x")
    for at in (15, 77, 65535, 65536, 70001):
        at += text[at] in b"\r\n" and 2
        fails(codec.how(text[:at] + b"\x7f" + text[at + 1:], "uuencode", "-d"), at)
    fails(codec.how(text[:-8], "uuencode", "-d"), len(text) - 8, random_octets(100000))
    done = codec.how(b"nothing of the kind", "uuencode", "-d")
    fails(done, 19, b"")
    assert b"begin" in done.stderr


# ---- dots, DKIM ----------------------------------------------------------------------------------

@pytest.mark.parametrize("size", SIZES)
def test_dots(codec, size):
    text = random_text(size)
    if text.endswith(b"\r"):
        text += b"\n"
    wanted = re.sub(rb"(?<=\r\n)\.", b"..", b"\r\n" + text)[2:]
    wanted += b".\r\n" if text[-2:] in (b"", b"\r\n") else b"\r\n.\r\n"
    assert codec(text, "stuff") == wanted
    back = text if text[-2:] in (b"", b"\r\n") else text + b"\r\n"
    assert codec(wanted, "unstuff") == back
    fails(codec.how(wanted + b"QUIT\r\n", "unstuff"), len(wanted), back)
    fails(codec.how(wanted[:-1], "unstuff"), len(wanted) - 1)


def dkim(body, relaxed):
    """RFC 6376 sections 3.4.3 and 3.4.4, by the letter."""
    if relaxed:
        body = re.sub(rb"[ \t]+(?=\r\n|\Z)", b"", body)
        body = re.sub(rb"[ \t]+", b" ", body)
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    body = re.sub(rb"(\r\n)+\Z", b"\r\n", body)
    if body in (b"", b"\r\n"):
        return b"" if relaxed else b"\r\n"
    return body


@pytest.mark.parametrize("size", SIZES)
def test_dkim(codec, size):
    text = random_text(size)
    if text.endswith(b"\r"):
        text += b"\n"
    for body in (text, text + b"\r\n" * 1000, b"\r\n" * 3 + text):
        assert codec(body, "dkim", "simple") == dkim(body, False)
        assert codec(body, "dkim", "relaxed") == dkim(body, True)


def test_dkim_held_lines(codec):
    """A lone CR at the very end makes thousands of empty lines count."""
    body = b"a\r\n" + b"\r\n" * 100000 + b"\r"
    assert codec(body, "dkim", "simple") == body + b"\r\n"
    assert codec(body[:-1], "dkim", "simple") == b"a\r\n"


# ---- UTF-8 ---------------------------------------------------------------------------------------

def test_utf8(codec):
    text = "".join(chr(code) for code in range(0x20, 0x11000) if not 0xd800 <= code < 0xe000)
    text = (text * 8).encode()
    assert codec(b"", "utf8") == b"" and codec(text, "utf8") == b""
    rng = random.Random(1)
    for _ in range(40):
        at = rng.choice([rng.randrange(len(text)), 65534, 65535, 65536, len(text) - 1])
        octet = bytes([rng.choice([0x80, 0xc1, 0xe2, 0xf5, 0xff, 0x41])])
        broken = text[:at] + octet + text[at + 1:]
        if rng.randrange(2):
            broken = broken[:at + 1]
        try:
            broken.decode()
        except UnicodeDecodeError as error:
            fails(codec.how(broken, "utf8"), error.start, b"")
        else:
            assert codec(broken, "utf8") == b""


# ---- pieces, command line ------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [
    ["base64"], ["base64", "-d"], ["qp"], ["qp", "-d"], ["uuencode", "x"], ["uuencode", "-d"],
    ["stuff"], ["unstuff"], ["dkim", "relaxed"]], ids=" ".join)
def test_pieces(codec, arguments):
    """What comes out does not depend on how the input came."""
    text = random_text(20000)
    forward = {"base64": ["base64"], "qp": ["qp"], "uuencode": ["uuencode", "x"]}
    if "-d" in arguments:
        text = codec(text, *forward[arguments[0]])
    if arguments == ["unstuff"]:
        text = codec(text, "stuff")
    wanted = codec(text, *arguments)
    with subprocess.Popen([codec.binary, "codec", *arguments], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        def write():
            rng, at = random.Random(7), 0
            while at < len(text):
                size = rng.choice([1, 2, 3, 50, 777])
                process.stdin.write(text[at:at + size])
                process.stdin.flush()
                at += size
            process.stdin.close()
        writer = threading.Thread(target=write)
        writer.start()
        got = process.stdout.read()
        writer.join()
        assert process.wait(60) == 0
    assert got == wanted


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["base64", "x"], ["stuff", "-d"], ["uuencode"], ["uuencode", ""],
    ["dkim"], ["dkim", "loose"], ["base64", "--wrap", "75"], ["base64", "--wrap", "x"],
    ["base64", "--wrap"], ["base64", "--lenient"], ["base64", "-d", "--lenient", "--strict"],
    ["qp", "-d", "--binary"], ["base64", "--nonsense"]], ids=" ".join)
def test_misuse(codec, arguments):
    done = codec.how(b"", *arguments)
    assert done.returncode == 2 and b"--help" in done.stderr and not done.stdout


def test_help(codec):
    for arguments in (["--help"], ["base64", "--help"]):
        assert codec(b"", *arguments).startswith(b"usage: ringpost codec")


def test_full_output(codec):
    """An answer that was cut short does not look like a good one."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([codec.binary, "codec", "base64"], input=b"x", stdout=full,
                              stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 1 and b"standard output" in done.stderr
