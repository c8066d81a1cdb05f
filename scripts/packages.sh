# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# packages.sh - sourced by run, test and .ci/run: installs the Debian packages that are missing

build_packages=(gcc libc6-dev meson ninja-build pkg-config liburing-dev libssl-dev libc-ares-dev
    libconfuse-dev libjansson-dev libjemalloc-dev libidn2-dev libcrypt-dev)
test_packages=(libcmocka-dev clang postfix swaks nsd dnsmasq-base python3 python3-pytest
    python3-dnspython python3-fusepy e2fsprogs libasan8 libubsan1 libtsan2)
# Of the codecs: NEON kernels under qemu, AVX-512 emulated, users in C++, other implementations, and
# instructions counted.
test_packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libsimde-dev g++
    libpython3.11-testsuite python3-gi gir1.2-gmime-3.0 libmime-tools-perl python3-dkim sharutils
    valgrind)
# Of TLS, AUTH and DKIM: certificates, peers that log in, verifiers.
test_packages+=(openssl libnet-ssleay-perl dovecot-core gsasl libsasl2-modules libmail-dkim-perl
    opendkim python3-nacl)
bench_packages=(postfix opendkim openssl strace python3 util-linux g++ libbenchmark-dev libssl-dev libglib2.0-dev
    libgmime-3.0-dev libsimdjson-dev)
check_packages=(clang clang-format git)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

missing_packages() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
            echo "$name"
    done
}

# Servers among the packages (Postfix, nsd) are tools for the tests: none may start by itself.
install_packages() {
    local missing policy=/usr/sbin/policy-rc.d own_policy='' result=0
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "missing packages, and no apt-get to install them: ${missing[*]}" >&2
        return 1
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        echo "run this as root first, or install: ${missing[*]}" >&2
        return 1
    fi
    echo "installing ${missing[*]}"
    if [ ! -e $policy ]; then
        own_policy=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    {
        as_root apt-get -qq update &&
            { [[ " ${missing[*]} " != *" postfix "* ]] ||
                echo 'postfix postfix/main_mailer_type select No configuration' |
                as_root env DEBIAN_FRONTEND=noninteractive debconf-set-selections; } &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
                install "${missing[@]}" >/dev/null
    } || result=$?
    [ -z "$own_policy" ] || as_root rm -f $policy
    return $result
}
