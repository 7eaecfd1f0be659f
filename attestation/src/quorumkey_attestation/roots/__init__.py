"""The vendors' root certificates, shipped with the package and never fetched at run time.

Each is named with its source, its fingerprint and its end; loading refuses a file that does not
have that fingerprint. ``DENIED`` are roots whose private key is public or that never stood for
production: they are refused even where they are configured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

__all__ = [
    "APPLE_APP_ATTEST",
    "APPLE_RECEIPT",
    "APPLE_WEBAUTHN",
    "DENIED",
    "GOOGLE",
    "Root",
    "load",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One root certificate.

    Attributes:
        file: its PEM file beside this module; None where only the hashes are kept.
        name: what the vendor calls it.
        source: where the vendor publishes it.
        sha256: SHA-256 of the certificate's DER, in hex.
        spki_sha256: SHA-256 of its SubjectPublicKeyInfo's DER, in hex.
        not_after: its last day, ISO 8601.
    """

    file: str | None
    name: str
    source: str
    sha256: str
    spki_sha256: str
    not_after: str


_APPLE: Final = "https://www.apple.com/certificateauthority/"
_GOOGLE: Final = "https://developer.android.com/privacy-and-security/security-key-attestation"
_GOOGLE_RSA_SPKI: Final = "feb2ea7551ee316ed4bb443c8293b884dbfdea40b603ee3e4f4a897e4580fbae"

APPLE_APP_ATTEST: Final = Root(
    file="apple_app_attestation_root_ca.pem",
    name="Apple App Attestation Root CA",
    source=f"{_APPLE}private/",
    sha256="1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932",
    spki_sha256="1ae751fd29896d0f1f13fe226c063f445d40d8938acc6245c251ecc0679330bd",
    not_after="2045-03-15",
)
APPLE_WEBAUTHN: Final = Root(
    file="apple_webauthn_root_ca.pem",
    name="Apple WebAuthn Root CA",
    source=f"{_APPLE}private/",
    sha256="0915dd5c07a28db549d1f677bb5a75d4bfbe9561a773424327762e9e02f9bb29",
    spki_sha256="ab4f65d4e627b65121a5acdf087ee3906c42b5a66e758778fab0df4464d8dd57",
    not_after="2045-03-15",
)
APPLE_RECEIPT: Final = Root(
    file="apple_root_ca_g3.pem",
    name="Apple Root CA - G3",
    source=_APPLE,
    sha256="63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179",
    spki_sha256="9b219d0fbff36a5fb32090571906bceea68617c833a3f61b81e962a8e64db8af",
    not_after="2039-04-30",
)
#: One RSA key under four certificates, and the elliptic-curve root that follows it in 2026.
GOOGLE: Final = (
    Root(
        file="google_hw_attestation_root_4.pem",
        name="Google hardware attestation root f92009e853b6b045 (2022)",
        source=_GOOGLE,
        sha256="cedb1cb6dc896ae5ec797348bce9286753c2b38ee71ce0fbe34a9a1248800dfc",
        spki_sha256=_GOOGLE_RSA_SPKI,
        not_after="2042-03-15",
    ),
    Root(
        file="google_hw_attestation_root_3.pem",
        name="Google hardware attestation root f92009e853b6b045 (2021)",
        source=_GOOGLE,
        sha256="ab6641178a36e179aa0c1cdddf9a16eb45fa20943e2b8cd7c7c05c26cf8b487a",
        spki_sha256=_GOOGLE_RSA_SPKI,
        not_after="2036-11-13",
    ),
    Root(
        file="google_hw_attestation_root_2.pem",
        name="Google hardware attestation root f92009e853b6b045 (2019)",
        source=_GOOGLE,
        sha256="1ef1a04b8ba58ab94589ac498c8982a783f24ea7307e0159a0c3a73b377d87cc",
        spki_sha256=_GOOGLE_RSA_SPKI,
        not_after="2034-11-18",
    ),
    Root(
        file="google_hw_attestation_root_1.pem",
        name="Google hardware attestation root f92009e853b6b045 (2016)",
        source=_GOOGLE,
        sha256="c1984a3ef45c1e2a918551de10603c86f7051b2249c4891cae3230eabd0c97d5",
        spki_sha256=_GOOGLE_RSA_SPKI,
        not_after="2026-05-24",
    ),
    Root(
        file="google_hw_attestation_root_5.pem",
        name="Google Key Attestation CA1",
        source=_GOOGLE,
        sha256="6d9db4ce6c5c0b293166d08986e05774a8776ceb525d9e4329520de12ba4bcc0",
        spki_sha256="3ee44512a1af2beb39c889490c60ea3f82e43f5d5a5532f5ab9419f676cd07ec",
        not_after="2035-07-15",
    ),
)

DENIED: Final = (
    Root(
        file=None,
        name="Android Keystore Software Attestation Root (EC; its private key is public)",
        source="Android Open Source Project",
        sha256="51d496ad4664190fbdaf1ad987278efa35d6fbf52e50a9c34ded8395477ede5c",
        spki_sha256="d5100c7942ef2e8310dc30ef82729680cf48d690735c3f68179a33c7c370f286",
        not_after="2036-01-06",
    ),
    Root(
        file=None,
        name="Android software attestation root (RSA; its private key is public)",
        source="Android Open Source Project",
        sha256="4e42730efd521b21d77b109b7532a0b664ddfefc73e129111936200c5e58cce0",
        spki_sha256="f2c4746f545946c100e72297f8f946344d7052f03a2f694221f9c893b0e6f711",
        not_after="2035-12-30",
    ),
    Root(
        file=None,
        name="Google pre-production attestation root e35d38c6897d47e8",
        source="Google's sample of a verifying server",
        sha256="19de1c3e1da7e06f3c2712301342c17941b1ec90ba5ee396a8ec2ee4f46dfad2",
        spki_sha256="d90ff86f70c8912f9071079f99c748c73fd01bd2c10e3024f2f61ec2606fb512",
        not_after="2028-03-18",
    ),
)


@cache
def load(root: Root) -> x509.Certificate:
    """Return a shipped root certificate.

    Raises:
        ValueError: no file is shipped for it, or the file was changed: it has another fingerprint.
    """
    if root.file is None:
        msg = f"{root.name} is denied and not shipped"
        raise ValueError(msg)
    certificate = x509.load_pem_x509_certificate((files(__name__) / root.file).read_bytes())
    if certificate.fingerprint(SHA256()).hex() != root.sha256:
        msg = f"{root.file} is not the certificate it is named for"
        raise ValueError(msg)
    return certificate
