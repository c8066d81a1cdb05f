# SPDX-License-Identifier: Apache-2.0
"""The verifiers of DKIM in the harness, on what python3-dkim has signed: they see good and bad."""
import base64

import dkim
import pytest
from harness import mail, verifiers
from harness.certificates import openssl
from harness.verifiers import DkimKey


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dkim")
    return DkimKey(folder, "r", "source.test"), DkimKey(folder, "e", "source.test", "ed25519")


@pytest.fixture(scope="module")
def records(keys):
    return {key.name: key.record for key in keys}


@pytest.fixture(scope="module")
def server(run_module, records):
    return run_module.nsd({"source.test": verifiers.zone_text(records)})


def sign(message, key):
    if key.kind == "rsa":
        with open(key.file, "rb") as file:
            private = file.read()
    else:
        der = key.file + ".der"
        openssl("pkey", "-in", key.file, "-outform", "DER", "-out", der)
        with open(der, "rb") as file:
            private = base64.b64encode(file.read()[-32:])
    algorithm = b"rsa-sha256" if key.kind == "rsa" else b"ed25519-sha256"
    return dkim.sign(message, key.selector.encode(), key.domain.encode(), private,
                     signature_algorithm=algorithm, canonicalize=(b"relaxed", b"relaxed")) + message


def test_three_verifiers_agree(keys, records, server, tmp_path):
    message = sign(sign(mail.message(), keys[0]), keys[1])
    assert verifiers.selectors(message) == ["e", "r"]
    assert verifiers.dkimpy(message, server) == {"e": "pass", "r": "pass"}
    assert verifiers.mail_dkim(message, server)["r"] == "pass"
    assert verifiers.opendkim(message, records, tmp_path) == {"e": "pass", "r": "pass"}


@pytest.mark.parametrize("before, after", [(b"hello", b"hullo"), (b"Subject: t", b"Subject: T")],
                         ids=["body", "header"])
def test_three_verifiers_see_a_change(keys, records, server, tmp_path, before, after):
    message = sign(sign(mail.message(), keys[0]), keys[1]).replace(before, after)
    assert "pass" not in verifiers.dkimpy(message, server).values()
    assert "pass" not in verifiers.mail_dkim(message, server).values()
    told = verifiers.opendkim(message, records, tmp_path)
    assert set(told) == {"e", "r"} and "pass" not in told.values()


def test_nothing_is_signed(records, server, tmp_path):
    assert verifiers.dkimpy(mail.message(), server) == {}
    assert verifiers.mail_dkim(mail.message(), server) == {}
    assert verifiers.opendkim(mail.message(), records, tmp_path) == {}
