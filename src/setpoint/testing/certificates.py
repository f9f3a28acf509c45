"""A self-signed certificate for 127.0.0.1 and localhost, made on the spot."""

import datetime as dt
import ipaddress
import ssl
import tempfile
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_FROM = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_UNTIL = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)


class Certificate(msgspec.Struct, frozen=True):
    """PEM texts. The certificate is its own authority: a client that is to trust it gets `cert_pem` as its CA file."""

    cert_pem: bytes
    key_pem: bytes

    def server_context(self) -> ssl.SSLContext:
        """For a listener; TLS 1.2 and 1.3."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        with tempfile.NamedTemporaryFile(suffix=".pem") as both:
            both.write(self.key_pem + self.cert_pem)
            both.flush()
            context.load_cert_chain(both.name)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts this certificate only."""
        return ssl.create_default_context(cadata=self.cert_pem.decode())

    def write_ca(self, folder: Path) -> str:
        """The path of a CA file in `folder`."""
        path = folder / "ca.pem"
        path.write_bytes(self.cert_pem)
        return str(path)


def self_signed() -> Certificate:
    """ECDSA P-256, valid for a century."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "setpoint fake upstream")])
    hosts = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), _FROM, _UNTIL)
    cert = (
        builder.add_extension(hosts, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate(cert.public_bytes(serialization.Encoding.PEM), key_pem)
