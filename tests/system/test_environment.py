# SPDX-License-Identifier: Apache-2.0
"""What the machine may not give: io_uring, a free port, root."""
import ctypes
import errno
import os
import pwd
import shutil
import struct
import subprocess

import pytest
from harness import mail

SECCOMP_SET_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 1, 38
IO_URING_SETUP = 425  # the same number on every architecture
RET_ALLOW, RET_ERRNO = 0x7FFF0000, 0x00050000


def forbid_io_uring(number):
    """For preexec_fn: io_uring_setup fails with that errno, as in a container's seccomp profile."""
    def install():
        code = [
            (0x20, 0, 0, 0),                   # load the number of the system call
            (0x15, 0, 1, IO_URING_SETUP),      # equal: next, else: the one after it
            (0x06, 0, 0, RET_ERRNO | number),
            (0x06, 0, 0, RET_ALLOW),
        ]
        program = b"".join(struct.pack("HBBI", *step) for step in code)
        memory = ctypes.create_string_buffer(program)
        header = struct.pack("HxxxxxxP", len(code), ctypes.addressof(memory))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        assert libc.syscall(317, SECCOMP_SET_MODE_FILTER, 0, ctypes.c_char_p(header)) == 0
    return install


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter knows x86-64 only")
@pytest.mark.parametrize("number, words", [
    (errno.ENOSYS, ["seccomp", "6.1"]),
    (errno.EPERM, ["io_uring_disabled", "seccomp"]),
    (errno.ENOMEM, ["locked memory"]),
], ids=["ENOSYS", "EPERM", "ENOMEM"])
def test_without_io_uring_it_says_why_and_what_to_do(hop, relay_to, number, words):
    relay = relay_to(hop, started=False)
    relay.write_config()
    done = subprocess.run([relay.binary, "serve", "-c", relay.file], capture_output=True,
                          text=True, timeout=60, check=False, preexec_fn=forbid_io_uring(number))
    assert done.returncode == 1
    assert "io_uring" in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_becomes_the_configured_user(hop, relay_to):
    relay = relay_to(hop, started=False)
    nobody = pwd.getpwnam("nobody")
    folder = f"/var/tmp/ringpost-user-{os.getpid()}"
    os.mkdir(folder, 0o755)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    try:
        relay.config.top.update(user="nobody", control=f"{folder}/control.sock")
        relay.config.spool["path"] = f"{folder}/spool"
        relay.config.log["path"] = f"{folder}/log"
        relay.config.account["path"] = f"{folder}/account"
        relay.start()
        status = open(f"/proc/{relay.process.pid}/status", encoding="ascii").read()
        uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        assert uids == [str(nobody.pw_uid)] * 4
        with relay.session() as client:
            client.mail(mail.message("as nobody"))
        hop.wait(1)
        relay.restart()
        relay.stop()
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_makes_the_folders_for_the_configured_user(hop, relay_to):
    """As after the installation: what the configuration names is not there, its parent is root's."""
    relay = relay_to(hop, started=False)
    folder = f"/var/tmp/ringpost-folders-{os.getpid()}"
    os.mkdir(folder, 0o755)
    try:
        relay.config.top.update(user="nobody", control=f"{folder}/run/control.sock")
        relay.config.spool["path"] = f"{folder}/spool"
        relay.config.log["path"] = f"{folder}/log/log"
        relay.config.account["path"] = f"{folder}/log/account"
        os.mkdir(f"{folder}/spool", 0o700)  # empty and root's: meant for us
        relay.start()
        with relay.session() as client:
            client.mail(mail.message())
        hop.wait(1)
        relay.wait_account(1, type="Delivery")
        assert "ready" in relay.log()
        relay.stop()
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_spool_of_another_user_is_told(hop, relay_to):
    relay = relay_to(hop, started=False)
    relay.config.top["user"] = "nobody"
    os.mkdir(relay.config.spool["path"], 0o700)
    with open(os.path.join(relay.config.spool["path"], "something"), "w", encoding="ascii"):
        pass
    relay.write_config()
    done = relay.run("serve", "-c", relay.file, check=False)
    assert done.returncode == 1
    assert relay.config.spool["path"] in done.stderr and "nobody" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_unknown_user_is_told(hop, relay_to):
    relay = relay_to(hop, started=False)
    relay.config.top["user"] = "nobody-at-all"
    relay.write_config()
    done = relay.run("serve", "-c", relay.file, check=False)
    assert done.returncode == 1 and "nobody-at-all" in done.stderr
    done = relay.run("check", "-c", relay.file)
    assert "nobody-at-all" in done.stderr


def test_control_socket_spares_files(hop, relay_to):
    relay = relay_to(hop, started=False)
    with open(relay.config.top["control"], "w", encoding="ascii") as file:
        file.write("precious")
    relay.write_config()
    done = relay.run("serve", "-c", relay.file, check=False)
    assert done.returncode == 1 and relay.config.top["control"] in done.stderr
    with open(relay.config.top["control"], encoding="ascii") as file:
        assert file.read() == "precious"


def test_control_socket_with_a_long_path(hop, relay_to):
    """A socket's name has 107 octets only, but folders of tests and of containers are long."""
    relay = relay_to(hop, started=False)
    relay.config.spool["path"] = os.path.join(relay.directory, "d" * 200)
    relay.config.top["control"] = None
    relay.start()
    path = os.path.join(relay.config.spool["path"], "control.sock")
    assert relay.run("stats", "--control", path).returncode == 0
    relay.restart()
    assert "0 messages" in relay.queue()
    relay.stop()
    assert not os.path.exists(path)


def test_two_servers_do_not_share_a_port(hop, relay_to):
    """Each worker listens on the port by itself; another process must not slip in among them."""
    first = relay_to(hop)
    second = relay_to(hop, started=False)
    second.config.listeners = dict(first.config.listeners)
    second.write_config()
    done = second.run("serve", "-c", second.file, check=False)
    assert done.returncode == 1
    assert str(first.port) in done.stderr and "in use" in done.stderr
