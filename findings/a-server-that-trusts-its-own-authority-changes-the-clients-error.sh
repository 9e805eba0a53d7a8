#!/usr/bin/env bash
# The client does not trust the server's authority. The server has its leaf certificate, and trusts the authority itself
# (load_verify_locations, for client certificates).
#
# Most people would guess: a server sends the chain that load_cert_chain() was given and nothing else; what it trusts is
#   only for the certificates of others. So the client's error does not depend on it.
# What really happens: OpenSSL completes the server's chain out of the server's own trust store and sends the root along.
#   The client's verify code then is 19 (a self-signed certificate in the chain) in place of 20 (the issuer is unknown). Code
#   that tells the two apart takes the same mistake for two.
#
# Seen (trustme 1.2.1; CPython 3.13.0 with OpenSSL 3.0.19, 3.15.2 with OpenSSL 3.6.5):
#   leaf only: 20 unable to get local issuer certificate
#   leaf and own trust: 19 self-signed certificate in certificate chain
#
#   PYTHON=python3.14 bash findings/a-server-that-trusts-its-own-authority-changes-the-clients-error.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check trustme==1.2.1
cat >"$folder/seen.py" <<'PYTHON'
import contextlib
import platform
import ssl
import sys

import trustme

authority = trustme.CA()
certificate = authority.issue_cert("api.test")


def verify_error(trusts_itself):
    """The code and message with which the client refuses the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if trusts_itself:
        authority.configure_trust(context)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(back, there, server_hostname="api.test")
    server = context.wrap_bio(there, back, server_side=True)
    for _ in range(6):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            return error.verify_code, error.verify_message
        with contextlib.suppress(ssl.SSLWantReadError):
            server.do_handshake()


seen = [verify_error(False), verify_error(True)]
print(f"CPython {platform.python_version()}, {ssl.OPENSSL_VERSION}, trustme {trustme.__version__}")
print("leaf only: {} {}".format(*seen[0]))
print("leaf and own trust: {} {}".format(*seen[1]))
sys.exit([code for code, _ in seen] != [20, 19])
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
