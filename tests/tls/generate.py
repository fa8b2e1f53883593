"""Makes the certificates that the tests of TLS use: `generate.py` writes them beside itself, with new keys."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HERE = Path(__file__).resolve().parent
ALWAYS = (datetime.datetime(2020, 1, 1), datetime.datetime(2126, 1, 1))
PAST = (datetime.datetime(2020, 1, 1), datetime.datetime(2021, 1, 1))
FUTURE = (datetime.datetime(2125, 1, 1), datetime.datetime(2126, 1, 1))
OURS: list[x509.GeneralName] = [
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
]

Key = ec.EllipticCurvePrivateKey


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    subject: str,
    key: Key,
    issuer: str,
    issuer_key: Key,
    *,
    hosts: list[x509.GeneralName] | None = None,
    time: tuple[datetime.datetime, datetime.datetime] = ALWAYS,
    authority: bool = False,
    use: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(time[0])
        .not_valid_after(time[1])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts or OURS), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def pin(key: Key) -> str:
    """The fingerprint of a public key, as settings have it."""
    encoded = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"sha256/{base64.b64encode(hashlib.sha256(encoded).digest()).decode()}"


def write(file: str, *certificates: x509.Certificate) -> None:
    pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
    (HERE / file).write_bytes(pem)


def write_key(file: str, key: Key) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (HERE / file).write_bytes(pem)


def main() -> None:
    root, other, key, upcoming = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))
    by_root = {"issuer": "lime test root", "issuer_key": root}
    good = certificate("good", key, **by_root)
    write("roots.pem", certificate("lime test root", root, **by_root, authority=True))
    write("other_roots.pem", certificate("another root", other, "another root", other, authority=True))
    write("good.pem", good)
    write("next.pem", certificate("next", upcoming, **by_root))
    write("expired.pem", certificate("expired", key, **by_root, time=PAST))
    write("not_yet.pem", certificate("not yet", key, **by_root, time=FUTURE))
    write("wrong_host.pem", certificate("wrong", key, **by_root, hosts=[x509.DNSName("other.example")]))
    write("self_signed.pem", certificate("self", key, "self", key))
    write("client_only.pem", certificate("client", key, **by_root, use=ExtendedKeyUsageOID.CLIENT_AUTH))
    write("by_a_leaf.pem", certificate("leaf's", key, "good", key), good)
    write("by_a_stranger.pem", certificate("stranger's", upcoming, "another root", other), good)
    write_key("key.pem", key)
    write_key("next_key.pem", upcoming)
    pins = {"good": pin(key), "next": pin(upcoming), "other": pin(other)}
    (HERE / "pins.json").write_text(json.dumps(pins, indent=2) + "\n")


if __name__ == "__main__":
    main()
