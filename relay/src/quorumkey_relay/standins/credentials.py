"""The keys, certificates and accounts of the stand-ins: files that are made once in a folder."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quorumkey_relay.identity.files import (
    PRIVATE_DIRECTORY_MODE,
    read_private,
    write_private,
)

if TYPE_CHECKING:
    from pathlib import Path

APNS_KEY_ID: Final = "STANDIN001"
APNS_TEAM_ID: Final = "STANDTEAM1"
APNS_TOPIC: Final = "com.example.approve"
FCM_PROJECT: Final = "quorumkey-stand-in"
FCM_CLIENT_EMAIL: Final = f"relay@{FCM_PROJECT}.iam.gserviceaccount.com"
#: The one subject that certificates and settings agree on; Web Push wants a host name.
HOST: Final = "localhost"

_RSA_BITS: Final = 2_048
_RSA_EXPONENT: Final = 65_537
_VALID_DAYS: Final = 3_650
_BEFORE: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Files:
    """Where the stand-ins' credentials lie, and what belongs to them."""

    folder: Path
    apns_key_id: str = APNS_KEY_ID
    apns_team_id: str = APNS_TEAM_ID
    apns_topic: str = APNS_TOPIC
    fcm_project: str = FCM_PROJECT
    fcm_client_email: str = FCM_CLIENT_EMAIL

    @property
    def ca_file(self) -> Path:
        """The root that the servers are certified by, PEM."""
        return self.folder / "ca.pem"

    @property
    def server_file(self) -> Path:
        """The servers' certificate and key, PEM."""
        return self.folder / "server.pem"

    @property
    def apns_key_file(self) -> Path:
        """The key of provider tokens, as Apple hands it out."""
        return self.folder / f"AuthKey_{self.apns_key_id}.p8"

    @property
    def service_account_key_file(self) -> Path:
        """The key of the service account; it goes into ``service_account_file``."""
        return self.folder / "service-account.key.pem"

    @property
    def service_account_file(self) -> Path:
        """The service account, as Google hands it out; its ``token_uri`` is the stand-in's."""
        return self.folder / "service-account.json"


def prepare(files: Files) -> None:
    """Make what is missing in the folder, all of mode 0600."""
    files.folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_DIRECTORY_MODE)
    if not (files.ca_file.exists() and files.server_file.exists()):
        files.ca_file.unlink(missing_ok=True)
        files.server_file.unlink(missing_ok=True)
        root, server = _certificates()
        write_private(files.server_file, server)
        write_private(files.ca_file, root)
    if not files.apns_key_file.exists():
        write_private(files.apns_key_file, _pem(ec.generate_private_key(ec.SECP256R1())))
    if not files.service_account_key_file.exists():
        key = rsa.generate_private_key(_RSA_EXPONENT, _RSA_BITS)
        write_private(files.service_account_key_file, _pem(key))


def write_service_account(files: Files, token_url: str) -> None:
    """Write the service account anew, for the address that the token endpoint has now."""
    account = {
        "type": "service_account",
        "project_id": files.fcm_project,
        "private_key_id": "1",
        "private_key": read_private(files.service_account_key_file).decode(),
        "client_email": files.fcm_client_email,
        "client_id": "1",
        "token_uri": token_url,
        "universe_domain": "googleapis.com",
    }
    files.service_account_file.unlink(missing_ok=True)
    write_private(files.service_account_file, json.dumps(account, indent=2).encode())


def apns_public_key(files: Files) -> ec.EllipticCurvePublicKey:
    """Return the public half of the key of provider tokens."""
    key = load_pem_private_key(read_private(files.apns_key_file), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        message = f"{files.apns_key_file} holds no P-256 key"
        raise TypeError(message)
    return key.public_key()


def service_account_public_key(files: Files) -> rsa.RSAPublicKey:
    """Return the public half of the service account's key."""
    key = load_pem_private_key(read_private(files.service_account_key_file), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        message = f"{files.service_account_key_file} holds no RSA key"
        raise TypeError(message)
    return key.public_key()


def server_context(files: Files, *protocols: str) -> ssl.SSLContext:
    """Return the servers' side of TLS, which agrees on one of ``protocols``, best first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.server_file)
    context.set_alpn_protocols(list(protocols))
    return context


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificates() -> tuple[bytes, bytes]:
    """Return a root, and a server's certificate under it with its key, both PEM."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    root_name = _name("Quorumkey stand-ins, for tests only")
    now = dt.datetime.now(dt.UTC)
    until = now + dt.timedelta(days=_VALID_DAYS)
    root = (
        x509.CertificateBuilder()
        .subject_name(root_name)
        .issuer_name(root_name)
        .public_key(root_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_ca=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = [
        x509.DNSName(HOST),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    server = (
        x509.CertificateBuilder()
        .subject_name(_name(HOST))
        .issuer_name(root_name)
        .public_key(server_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
        .sign(root_key, hashes.SHA256())
    )
    both = server.public_bytes(Encoding.PEM) + _pem(server_key)
    return root.public_bytes(Encoding.PEM), both


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
