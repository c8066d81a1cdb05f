# SPDX-License-Identifier: Apache-2.0
"""config - the one place that knows how a configuration of ringpost is written."""
import copy
import os

# Short schedules: a test sees several attempts and an expiry within seconds.
SITE = {
    "connections": 20,
    "messages_per_connection": 1000,
    "recipients_per_transaction": 100,
    "connect_timeout": "2s",
    "greeting_timeout": "2s",
    "command_timeout": "2s",
    "data_timeout": "3s",
    "block_timeout": "3s",
    "dot_timeout": "3s",
    "retry": ["1s", "1s", "1s"],
    "expiry": "60s",
    "host_pause": "1s",
    "host_pause_max": "1s",
    "idle_timeout": "1s",
    "pipelining": True,
    "chunking": True,
    "eight_bit": "send",
    "source": "default",
}
LISTENER = {
    "relay_from": ["127.0.0.0/8"],
    "max_message_size": "50M",
    "max_recipients": 1000,
    "max_connections": 2000,
    "max_connections_per_client": 1000,
    "command_timeout": "60s",
    "data_timeout": "60s",
}


class Config:
    """Sections as dictionaries; text() writes the file. A value of None leaves the key out."""

    def __init__(self, directory, port, workers=2):
        join = lambda name: os.path.join(directory, name)
        self.top = {
            "hostname": "relay.test",
            "workers": workers,
            "control": join("control.sock"),
            "resolver": ["127.0.0.1:9"],
            "allow_loopback_delivery": True,
            "shutdown_timeout": "5s",
        }
        self.log = {"path": join("ringpost.log"), "level": "debug"}
        self.account = {"path": join("account")}
        self.spool = {
            "path": join("spool"),
            "durability": "commit",
            "segment_size": "8M",
            "memory": "256M",
            "reserve": "64M",
        }
        self.dns = {"timeout": "1s", "tries": 2, "failure_ttl": "1s", "negative_ttl": "1s"}
        self.delivery = {}
        self.auth = {}
        self.signers = []  # (domain, settings)
        self.listeners = {f"127.0.0.1:{port}": dict(LISTENER)}
        self.sources = {"default": {"ehlo": "relay.test"}}
        self.sites = {"default": dict(SITE)}
        self.routes = {}
        self.port = port

    @property
    def where(self):
        return f"127.0.0.1:{self.port}"

    def clone(self):
        return copy.deepcopy(self)

    def listener(self, **changes):
        """Changes the first listener."""
        next(iter(self.listeners.values())).update(changes)
        return self

    def secure(self, *certificates, tls="starttls", **changes):
        """TLS on the first listener; the first certificate is for clients that name no host."""
        return self.listener(tls=tls, certificate=[c.chain for c in certificates],
                             key=[c.key for c in certificates], **changes)

    def site(self, name="default", **changes):
        self.sites.setdefault(name, {}).update(changes)
        return self

    def route(self, domain, to, **more):
        """more: a login, TLS."""
        self.routes[domain] = {"to": to, **more}
        return self

    def sign(self, keys, **changes):
        """DKIM with these verifiers.DkimKey: of the From domain; platform.test signs everything."""
        for key in keys:
            everything = {"all": True} if key.domain == "platform.test" else {}
            self.signers.append((key.domain, {"selector": key.selector, "key": key.file,
                                              **everything, **changes}))
        return self

    def change(self, section, **changes):
        """section: top, log, account, spool, dns, auth or delivery."""
        getattr(self, section).update(changes)
        return self

    def text(self):
        lines = [f"{key} = {_value(value)}" for key, value in _given(self.top)]
        for name in ("log", "account", "spool", "dns", "auth", "delivery"):
            lines += _block(name, None, getattr(self, name)) if getattr(self, name) else []
        for kind in ("listener", "source", "site", "route"):
            for title, values in getattr(self, kind + "s").items():
                lines += _block(kind, title, values)
        for domain, values in self.signers:
            lines += _block("dkim", domain, values)
        return "\n".join(lines) + "\n"


def _given(values):
    return [(key, value) for key, value in values.items() if value is not None]


def _block(kind, title, values):
    head = kind if title is None else f"{kind} {_quote(title)}"
    return [f"{head} {{"] + [f"    {key} = {_value(v)}" for key, v in _given(values)] + ["}"]


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(_quote(str(item)) for item in value) + "}"
    return _quote(value)


def _quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
