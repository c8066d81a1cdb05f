# SPDX-License-Identifier: Apache-2.0
"""disks - small and faulty file systems for a spool. A machine that cannot have them skips the test.

    TmpfsDisk     48 MB of memory
    Ext4Disk      ext4 on a loop device on a file of 64 MB
    FaultyDisk    a FUSE file system (fault_fs.py) that fails what it is told to fail
    FaultyDevice  ext4 on a loop device on a file in a FaultyDisk: the block device returns errors,
                  and ext4 does with them what it does on a real one

Devices of the device mapper would do for the last one, but not every kernel has it.
"""
import ctypes.util
import os
import pathlib
import subprocess
import sys

import pytest

from .wait import until


def _try(*command):
    """Runs it; what it says when it fails, or that it does not exist, is why the test is skipped."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"no program {command[0]}")
    if done.returncode != 0:
        pytest.skip(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def _unmount(path):
    """Also when something still holds it: nothing of a failed test may stay mounted."""
    if subprocess.run(["umount", path], check=False, capture_output=True).returncode != 0:
        subprocess.run(["umount", "--lazy", path], check=True)


class _Disk:
    def heal(self):
        """Nothing fails or hangs any more."""


class TmpfsDisk(_Disk):
    direct = False

    def __init__(self, folder):
        self.path = folder / "disk"
        self.path.mkdir()
        _try("mount", "-t", "tmpfs", "-o", "size=48M", "none", str(self.path))

    def close(self):
        _unmount(self.path)


class Ext4Disk(_Disk):
    direct = True  # the spool is written past the page cache

    def __init__(self, folder, image=None):
        self.path = folder / "ext4"
        self.path.mkdir()
        image = image or folder / "image"
        with open(image, "wb") as out:
            out.truncate(64 << 20)
        _try("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        self.device = _try("losetup", "--find", "--show", str(image))
        try:
            self.mount()
        except BaseException:
            self._detach()
            raise

    def mount(self):
        _try("mount", "-t", "ext4", self.device, str(self.path))

    def repair(self):
        """As after a disk was replaced or a machine started again: what the journal holds counts."""
        _unmount(self.path)
        done = subprocess.run(["fsck.ext4", "-y", self.device], capture_output=True, check=False)
        assert done.returncode in (0, 1), done  # 1: errors corrected
        subprocess.run(["mount", "-t", "ext4", self.device, self.path], check=True)

    def _detach(self):
        subprocess.run(["losetup", "--detach", self.device], check=True)

    def close(self):
        _unmount(self.path)
        self._detach()


class FaultyDisk(_Disk):
    def __init__(self, folder):
        self.path = folder / "faulty"
        self.path.mkdir()
        (folder / "behind").mkdir()
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            pytest.skip("no access to /dev/fuse")
        if not ctypes.util.find_library("fuse"):
            pytest.skip("no libfuse2")
        pytest.importorskip("fusepy", reason="no python3-fusepy")
        program = pathlib.Path(__file__).with_name("fault_fs.py")
        with open(folder / "fault_fs.err", "w+", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [sys.executable, program, folder / "behind", self.path], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
            until(lambda: self.path.is_mount() or self.process.poll() is not None, 20, "the mount")
            if not self.path.is_mount():
                errors.seek(0)
                self.process.communicate()
                pytest.skip(f"FUSE cannot be mounted: {errors.read().strip()[-200:]}")

    def _ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def fail(self, *kinds, error="EIO", count=-1):
        for kind in kinds:
            assert self._ask(f"fail {kind} {error} {count}") == "ok"

    def fail_all_writes(self, error="EIO"):
        self.fail("write", "zeros", "fsync", "fsyncdir", "create", error=error)

    def heal(self):
        """How many operations have failed since it was healed last."""
        return int(self._ask("heal"))

    def failed(self):
        """How many operations have failed, or hang, since it was healed last."""
        return int(self._ask("failed"))

    def close(self):
        _unmount(self.path)
        self.process.communicate(timeout=20)


class FaultyDevice(Ext4Disk):
    def __init__(self, folder):
        self.below = FaultyDisk(folder)
        try:
            super().__init__(folder, self.below.path / "image")
        except BaseException:
            self.below.close()
            raise

    def heal(self):
        return self.below.heal()

    def close(self):
        try:
            super().close()
        finally:
            self.below.close()
