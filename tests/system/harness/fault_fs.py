# SPDX-License-Identifier: Apache-2.0
"""fault_fs - a FUSE file system that shows a folder, and fails what it is told to fail.

    fault_fs.py FOLDER MOUNTPOINT      commands on stdin, one answer each on stdout (see disks.py)

    fail KIND ERRNO COUNT    the next COUNT operations of that kind fail with it; -1: all. The word
                             HANG: they are not answered before it is healed, and succeed then
    failed                   how many have so far
    heal                     nothing fails any more; answers how many have since the last time

Kinds: read, write, zeros, fsync, create, fsyncdir, unlink. A write of nothing but zeros is of the
kind "zeros", and a sync behind such writes only is never failed: so a test can hit the writes that
carry mail, whatever is prepared beside them. A write that fails has not reached the folder; a sync
that fails leaves the data there, as disks do.
"""
import errno
import os
import subprocess
import sys
import threading

import fusepy


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.rules = {}  # kind -> [errno or None, how many more]
        self.failed = 0
        self.healed = threading.Event()

    def check(self, kind):
        with self.lock:
            rule = self.rules.get(kind)
            if rule is None or rule[1] == 0:
                return
            rule[1] -= 1
            self.failed += 1
        if rule[0] is None:
            self.healed.wait()
            return
        raise fusepy.FuseOSError(rule[0])

    def obey(self, line):
        command, *words = line.split()
        with self.lock:
            if command == "fail":
                error = None if words[1] == "HANG" else getattr(errno, words[1])
                self.rules[words[0]] = [error, int(words[2])]
                self.healed.clear()
                return "ok"
            failed = self.failed
            if command == "failed":
                return str(failed)
            self.failed = 0
            self.rules.clear()
            self.healed.set()
            return str(failed)


class FaultFs(fusepy.Operations):
    use_ns = True

    def __init__(self, folder, faults):
        self.folder, self.faults = folder, faults
        self.unsynced = set()  # paths with data other than zeros that was not synced yet

    def _real(self, path):
        return os.path.join(self.folder, path.lstrip("/"))

    # ---- names ----------------------------------------------------------------------------------

    def getattr(self, path, fh=None):
        status = os.fstat(fh) if fh is not None else os.lstat(self._real(path))
        return {name: getattr(status, name) for name in (
            "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks",
            "st_atime_ns", "st_mtime_ns", "st_ctime_ns")} | {
                name: getattr(status, name + "_ns")
                for name in ("st_atime", "st_mtime", "st_ctime")}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self._real(path))]

    def statfs(self, path):
        status = os.statvfs(self._real(path))
        return {name: getattr(status, name) for name in (
            "f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files",
            "f_frsize", "f_namemax")}

    def mkdir(self, path, mode):
        os.mkdir(self._real(path), mode)

    def rmdir(self, path):
        os.rmdir(self._real(path))

    def unlink(self, path):
        self.faults.check("unlink")
        os.unlink(self._real(path))

    def rename(self, old, new):
        os.rename(self._real(old), self._real(new))

    def chmod(self, path, mode):
        os.chmod(self._real(path), mode)

    def chown(self, path, uid, gid):
        os.chown(self._real(path), uid, gid)

    def utimens(self, path, times=None):
        os.utime(self._real(path), ns=times)

    def fsyncdir(self, path, datasync, fh):
        self.faults.check("fsyncdir")

    # ---- files ----------------------------------------------------------------------------------

    def open(self, path, flags):
        # The buffers are our own: they need not be aligned, and the kernel keeps nothing of them.
        return os.open(self._real(path), flags & ~os.O_DIRECT)

    def create(self, path, mode, fi=None):
        self.faults.check("create")
        return os.open(self._real(path), os.O_RDWR | os.O_CREAT, mode)

    def read(self, path, size, offset, fh):
        self.faults.check("read")
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        if any(data):
            self.faults.check("write")
            self.unsynced.add(path)
        else:
            self.faults.check("zeros")
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(self._real(path) if fh is None else fh, length)

    def fsync(self, path, datasync, fh):
        if path in self.unsynced:
            self.unsynced.discard(path)
            self.faults.check("fsync")

    def flush(self, path, fh):
        pass

    def release(self, path, fh):
        os.close(fh)


def listen(faults, mountpoint):
    """When the test is no more, neither is this: nothing hangs, nothing stays mounted."""
    for line in sys.stdin:
        print(faults.obey(line), flush=True)
    faults.obey("heal")
    subprocess.run(["umount", "--lazy", mountpoint], check=False, stderr=subprocess.DEVNULL)


def main():
    folder, mountpoint = sys.argv[1:]
    faults = Faults()
    threading.Thread(target=listen, args=(faults, mountpoint), daemon=True).start()
    fusepy.FUSE(FaultFs(folder, faults), mountpoint, foreground=True, big_writes=True,
                fsname="ringpost-faults")


if __name__ == "__main__":
    main()
