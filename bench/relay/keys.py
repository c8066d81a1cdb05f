# SPDX-License-Identifier: Apache-2.0
"""keys - certificates for TLS and keys for DKIM, made once a run by the openssl command."""

import os
import subprocess

DOMAIN, SELECTOR = "signed.test", "bench"  # of the From field that is signed


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.decode()[-500:]}")


class Keys:
    """Paths of what has been made; makes it when it is first asked for."""

    KINDS = {
        "p256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        "rsa": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        "ed25519": ("-algorithm", "ED25519"),
    }

    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        return os.path.join(self.directory, name)

    def key(self, kind, use):
        path = self.path(f"{use}-{kind}.key")
        if not os.path.exists(path):
            openssl("genpkey", *self.KINDS[kind], "-out", path)
        return path

    def certificate(self, kind):
        """(certificate, key), for relay.test, signed by itself."""
        key, path = self.key(kind, "tls"), self.path(f"tls-{kind}.pem")
        if not os.path.exists(path):
            openssl("req", "-x509", "-key", key, "-out", path, "-days", "2",
                    "-subj", "/CN=relay.test", "-addext", "subjectAltName=DNS:relay.test")
        return path, key
