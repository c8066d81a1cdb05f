# SPDX-License-Identifier: Apache-2.0
"""`ringpost passwd`: what it writes, read by others; what others have written; the file kept whole."""
import base64
import fcntl
import hashlib
import hmac
import os
import pty
import select
import signal
import stat
import subprocess
import termios
import warnings

import pytest

from harness.wait import until

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt


@pytest.fixture(name="passwd")
def passwd_fixture(binary, tmp_path):
    """passwd(arguments..., password="...") on a users file; .users is its path."""
    def how(*arguments, password="pencil"):
        return subprocess.run([str(binary), "passwd", "-f", run.users, *arguments],
                              input=password.encode() + b"\n", capture_output=True, timeout=60,
                              check=False)

    def run(*arguments, password="pencil"):
        done = how(*arguments, password=password)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()
    run.how = how
    run.users = str(tmp_path / "users")
    run.binary = str(binary)
    return run


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def verifier(password, salt, iterations):
    """RFC 5803, by Python's own functions."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    parts = [salt, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256")]
    return "SCRAM-SHA-256${}:{}${}:{}".format(
        iterations, *(base64.b64encode(part).decode() for part in parts))


# ---- what it writes ------------------------------------------------------------------------------

def test_hash_is_that_of_crypt(passwd):
    passwd("anna", password="p\u00e4ss w:rd,")
    name, secret, paths = read(passwd.users).rstrip("\n").split(":")
    assert (name, paths) == ("anna", "*")
    assert secret.startswith("$y$")
    assert crypt.crypt("p\u00e4ss w:rd,", secret) == secret


def test_verifier_is_that_of_the_rfc(passwd):
    passwd("--scram", "--iterations", "4096", "anna")
    line = read(passwd.users).rstrip("\n")
    secret = line[len("anna:"):-len(":*")]
    salt = base64.b64decode(secret.split("$")[1].split(":")[1])
    assert len(salt) == 16
    assert secret == verifier("pencil", salt, 4096)


def test_salts_differ(passwd):
    passwd("--both", "anna")
    passwd("--both", "bert")
    anna, bert = (line.split(":", 1)[1] for line in read(passwd.users).splitlines())
    assert anna != bert
    assert anna.split(",")[0] != bert.split(",")[0]
    assert anna.split(",")[1] != bert.split(",")[1]


def test_list(passwd):
    passwd("--domains", "a.example,.b.example,<>", "anna")
    passwd("--both", "bert")
    rows = [row.split() for row in passwd("--list").splitlines()]
    assert rows[0] == ["USER", "SECRET", "MAY", "SEND", "AS"]
    assert rows[1] == ["anna", "yescrypt", "a.example,.b.example,<>"]
    assert rows[2] == ["bert", "yescrypt,", "SCRAM-SHA-256", "(10000)", "*"]


# ---- what others have written --------------------------------------------------------------------

@pytest.mark.parametrize("method", ["yescrypt", "gost-yescrypt", "scrypt", "bcrypt", "sha512crypt",
                                    "sha256crypt"])
def test_hashes_of_others(passwd, method):
    """mkpasswd's are those of the system's libcrypt; Python calls it, too."""
    settings = {"yescrypt": "$y$j75$abcdefghijklmnop", "gost-yescrypt": "$gy$j75$abcdefghijklmnop",
                "scrypt": "$7$6U..../....abcdefgh", "bcrypt": "$2b$05$abcdefghijklmnopqrstuu",
                "sha512crypt": "$6$rounds=1000$abcdefgh", "sha256crypt": "$5$abcdefgh"}
    secret = crypt.crypt("pencil", settings[method])
    assert secret and not secret.startswith("*")
    write(passwd.users, f"anna:{secret}:*\n")
    done = passwd.how("--check", "anna")
    assert done.returncode == 0
    assert (b"warning" in done.stderr) == method.startswith("sha")
    assert passwd.how("--check", "anna", password="pencils").returncode == 1


def test_verifier_of_dovecot(passwd):
    done = subprocess.run(["doveadm", "pw", "-s", "SCRAM-SHA-256", "-p", "pencil"],
                          capture_output=True, text=True, timeout=60, check=True)
    iterations, salt, stored, server = done.stdout.strip().split("}")[1].split(",")
    write(passwd.users, f"anna:SCRAM-SHA-256${iterations}:{salt}${stored}:{server}:*\n")
    passwd("--check", "anna")
    assert passwd.how("--check", "anna", password="pencils").returncode == 1


def test_strong_hashes_only(passwd):
    for weak in (crypt.crypt("pencil", "$1$abcdefgh"), crypt.crypt("pencil", "ab"), "pencil"):
        write(passwd.users, f"# one line\nanna:{weak}:*\n")
        done = passwd.how("--check", "anna")
        assert done.returncode == 1
        assert f"{passwd.users}:2: ".encode() in done.stderr
        assert weak.encode() not in done.stderr


# ---- the file ------------------------------------------------------------------------------------

def test_other_lines_stay(passwd):
    passwd("--domains", "b.example", "bert")
    bert = read(passwd.users)
    write(passwd.users, "# those of the shop\n\n" + bert + "# the end", 0o640)
    passwd("anna")
    passwd("bert", password="another")
    lines = read(passwd.users).split("\n")
    assert lines[:2] == ["# those of the shop", ""]
    assert lines[2] != bert.rstrip("\n") and lines[2].endswith(":b.example")  # the domains stay
    assert lines[3] == "# the end"
    assert lines[4].startswith("anna:") and lines[5:] == [""]
    assert stat.S_IMODE(os.stat(passwd.users).st_mode) == 0o640
    passwd("--check", "bert", password="another")
    passwd("--domains", "<>", "bert", password="another")
    assert read(passwd.users).split("\n")[2].endswith(":<>")
    passwd("--delete", "bert")
    assert [line.split(":")[0] for line in read(passwd.users).split("\n")] == \
        ["# those of the shop", "", "# the end", "anna", ""]
    assert os.listdir(os.path.dirname(passwd.users)) == ["users"]


def test_new_file_is_secret(passwd):
    old = os.umask(0)
    try:
        passwd("anna")
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(passwd.users).st_mode) == 0o600
    os.chmod(passwd.users, 0o644)
    assert b"warning: others may read" in passwd.how("--list").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_stays(passwd):
    passwd("anna")
    os.chown(passwd.users, 12345, 23456)
    passwd("bert")
    status = os.stat(passwd.users)
    assert (status.st_uid, status.st_gid) == (12345, 23456)


def test_symbolic_link_stays(passwd, tmp_path):
    real = tmp_path / "elsewhere"
    real.mkdir()
    passwd("anna")
    os.rename(passwd.users, real / "users.real")
    os.symlink(real / "users.real", passwd.users)
    passwd("bert")
    assert os.path.islink(passwd.users)
    assert len(read(real / "users.real").splitlines()) == 2


def test_one_at_a_time(passwd):
    passwd("anna")
    with open(passwd.users + ".new", "w", encoding="ascii") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with subprocess.Popen([passwd.binary, "passwd", "-f", passwd.users, "bert"],
                              stdin=subprocess.PIPE) as command:
            command.stdin.write(b"pencil\n")
            command.stdin.close()
            until(lambda: _waits_for_lock(command.pid))
            write(passwd.users, read(passwd.users).replace("anna", "dora"))  # by the other
            os.unlink(passwd.users + ".new")
            fcntl.flock(other, fcntl.LOCK_UN)
            assert command.wait(60) == 0
    assert [line.split(":")[0] for line in read(passwd.users).splitlines()] == ["dora", "bert"]
    assert os.listdir(os.path.dirname(passwd.users)) == ["users"]
    write(passwd.users + ".new", "what a dead one has left is no hindrance\n")
    passwd("emil")
    assert len(read(passwd.users).splitlines()) == 3


def _waits_for_lock(pid):
    return f" {pid} " in "".join(line for line in read("/proc/locks").splitlines(True)
                                 if "->" in line)


def test_many_at_a_time(passwd):
    commands = [subprocess.Popen([passwd.binary, "passwd", "-f", passwd.users, f"user{i}"],
                                 stdin=subprocess.PIPE) for i in range(12)]
    for command in commands:
        command.stdin.write(b"pencil\n")
        command.stdin.close()
    assert [command.wait(60) for command in commands] == [0] * 12
    assert {line.split(":")[0] for line in read(passwd.users).splitlines()} == \
        {f"user{i}" for i in range(12)}


def test_broken_file_is_left_alone(passwd):
    write(passwd.users, "anna:nonsense:*\n")
    for arguments in (("bert",), ("--delete", "anna")):
        done = passwd.how(*arguments)
        assert done.returncode == 1 and f"{passwd.users}:1: ".encode() in done.stderr
    assert read(passwd.users) == "anna:nonsense:*\n"


def test_misuse(passwd):
    for arguments in ((), ("a", "b"), ("--list", "a"), ("a:b",), ("a b",), ("#a",), ("",),
                      ("--domains", "", "a"), ("--domains", "a@", "a"), ("--iterations", "4095", "a"),
                      ("--nonsense", "a"), ("--domains",)):
        done = passwd.how(*arguments)
        assert done.returncode == 2, arguments
        assert done.stderr
    assert not os.path.exists(passwd.users)
    assert passwd.how("--delete", "anna").returncode == 1
    assert passwd.how("--check", "anna").returncode == 1
    assert passwd.how("anna", password="").returncode == 1
    assert passwd.how("anna", password="a\0b").returncode == 1
    assert passwd.how("anna", password="x" * 512).returncode == 1
    assert not os.path.exists(passwd.users)
    passwd("anna", password="x" * 511)
    passwd("--check", "anna", password="x" * 511)
    assert passwd.how("--check", "anna", password="x" * 510).returncode == 1
    assert passwd.how("--delete", "bert").returncode == 1


# ---- at a terminal -------------------------------------------------------------------------------

class Terminal:
    """The command with a terminal as its standard streams."""

    def __init__(self, *command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # whatever has started the tests
            os.execv(command[0], command)
        self.shown = b""

    def read_until(self, text):
        while text not in self.shown:
            until(lambda: select.select([self.fd], [], [], 0)[0], what=lambda: self.shown)
            self.shown += os.read(self.fd, 1000)

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def type(self, text):
        os.write(self.fd, text)

    def end(self):
        """The exit status, or minus the signal."""
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_terminal_shows_no_password(passwd):
    terminal = Terminal(passwd.binary, "passwd", "-f", passwd.users, "anna")
    terminal.read_until(b"Password: ")
    assert not terminal.echoes()
    terminal.type(b"pencil\n")
    terminal.read_until(b"Once more: ")
    assert not terminal.echoes()
    terminal.type(b"pencil\n")
    terminal.read_until(b"Once more: \r\n")
    assert b"pencil" not in terminal.shown
    assert terminal.end() == 0
    passwd("--check", "anna")


def test_terminal_asks_twice(passwd):
    terminal = Terminal(passwd.binary, "passwd", "-f", passwd.users, "anna")
    terminal.read_until(b"Password: ")
    terminal.type(b"pencil\n")
    terminal.read_until(b"Once more: ")
    terminal.type(b"pencils\n")
    terminal.read_until(b"they differ")
    assert terminal.end() == 1
    assert not os.path.exists(passwd.users)


def test_terminal_is_as_it_was_after_an_interrupt(passwd):
    terminal = Terminal(passwd.binary, "passwd", "-f", passwd.users, "anna")
    terminal.read_until(b"Password: ")
    assert not terminal.echoes()
    terminal.type(b"pen\x03")
    terminal.read_until(b"Password: \r\n")
    assert terminal.echoes()
    assert terminal.end() == -signal.SIGINT
    assert not os.path.exists(passwd.users)
