"""Owns the certificate of `dev --tls`: an authority for one name, whose key is not kept.

The authority's key is discarded when it has signed, and the authority may sign for this name only:
a program that trusts it trusts no other host.
"""

from __future__ import annotations

import datetime
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAYS = 7
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class LocalCertificate:
    """The authority to trust, and a server's TLS context with a certificate of it."""

    authority: bytes
    """PEM."""
    context: ssl.SSLContext


def make_certificate(host: str) -> LocalCertificate:
    """Create an authority and a certificate for `host`, valid for a week."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voicecore dev, for one host")])
    key_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _builder(name, name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(host)], None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(key_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    server = (
        _builder(common, name, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(by, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return LocalCertificate(authority.public_bytes(_PEM), _context(server, key))


def _context(server: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    private = key.private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # OpenSSL reads keys from files only; this one has a name for a moment, and only for its owner.
    with tempfile.NamedTemporaryFile() as file:
        file.write(private + server.public_bytes(_PEM))
        file.flush()
        context.load_cert_chain(Path(file.name))
    return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
