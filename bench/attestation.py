"""Evidence of each format, minted once, and judged by us, by bare signatures and by others."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from pyattest.attestation import (  # type: ignore[import-untyped]  # it has no annotations
    Attestation as OtherAttestation,
)
from pyattest.configs.apple import (  # type: ignore[import-untyped]  # as above
    AppleConfig,
)
from webauthn import verify_registration_response
from webauthn.helpers.structs import AttestationFormat

from bench.one_thread import Candidate
from quorumkey_attestation import (
    AndroidKeyPolicy,
    AppAttestPolicy,
    RevocationList,
    TrustAnchors,
    WebAuthnPolicy,
    verify_android_key,
    verify_app_assertion,
    verify_app_attestation,
    verify_webauthn_registration,
)
from quorumkey_attestation.testing import (
    android,
    android_description,
    apple,
    apple_certificates,
    pki,
    webauthn,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

_NONCE: Final = hashlib.sha256(b"quorumkey bench nonce").digest()
_OTHER_KNOWS: Final = 3  # attestationVersion
_DEVICE_KEY: Final = ec.derive_private_key(0x51B6E7, ec.SECP256R1()).public_key()


def candidates(runner: asyncio.Runner) -> list[Candidate]:
    """Return what is timed; the evidence is valid now: the other libraries ask the clock.

    Args:
        runner: what drives the one other library that is written for an event loop.
    """
    now = datetime.now(UTC)
    return [
        _android("an Android chain of 4", android.factory_issuers(), now),
        _android("an Android chain of 5", android.rkp_issuers(now), now),
        _app_attestation(now, runner),
        _app_assertion(now),
        _webauthn(now),
    ]


def _signatures(
    path: Sequence[x509.Certificate], *more: tuple[ec.EllipticCurvePublicKey, bytes, bytes]
) -> Callable[[], None]:
    """Return a call that verifies the links of ``path``, and ``more``: key, signature, message."""
    work: list[tuple[ec.EllipticCurvePublicKey, bytes, bytes, HashAlgorithm]] = []
    for certificate, issuer in pairwise(path):
        key = issuer.public_key()
        digest = certificate.signature_hash_algorithm
        if not isinstance(key, ec.EllipticCurvePublicKey) or digest is None:
            msg = "the test PKI signs with ECDSA alone"
            raise TypeError(msg)
        work.append((key, certificate.signature, certificate.tbs_certificate_bytes, digest))
    work += [(key, signature, message, SHA256()) for key, signature, message in more]

    def verify() -> None:
        for key, signature, message, digest in work:
            key.verify(signature, message, ec.ECDSA(digest))

    return verify


def _android(name: str, issuers: tuple[android.Issuer, ...], now: datetime) -> Candidate:
    authorities = android.issue(issuers)
    encoded = android_description.description(
        challenge=_NONCE, software=android_description.software_list(created=now)
    ).encoded()
    extension = (android.key_description_extension(encoded), False)
    leaf = android.mint_leaf(_DEVICE_KEY, authorities[0], [extension])
    chain = android.chain_of(leaf, authorities)
    policy = AndroidKeyPolicy(
        packages={android_description.PACKAGE: frozenset({android_description.SIGNER})},
        anchors=TrustAnchors((android.google_root().certificate,), allow_test_roots=True),
    )
    revocation = RevocationList.from_json(android.status_list(), fetched_at=now)

    def verify() -> object:
        return verify_android_key(
            chain, challenge=_NONCE, policy=policy, revocation=revocation, now=now
        )

    verify()
    path = [x509.load_der_x509_certificate(der) for der in chain]
    return Candidate(name, verify, _signatures(path))


def _app_attestation(now: datetime, runner: asyncio.Runner) -> Candidate:
    minted = apple.Attestation(client_data_hash=hashlib.sha256(_NONCE).digest())
    evidence, key_id = minted.object, minted.key_id
    root = apple_certificates.app_attest_root().certificate
    policy = AppAttestPolicy(
        app_ids=frozenset({apple.APP_ID}),
        anchors=TrustAnchors((root,), allow_test_roots=True),
    )

    def verify() -> object:
        return verify_app_attestation(
            evidence,
            key_id=key_id,
            client_data_hash=minted.client_data_hash,
            policy=policy,
            now=now,
        )

    verify()
    path = [
        x509.load_der_x509_certificate(minted.leaf),
        apple_certificates.app_attest_authority().certificate,
        root,
    ]
    config = AppleConfig(
        key_id=key_id,
        app_id=apple.APP_ID,
        production=True,
        root_ca=root.public_bytes(Encoding.PEM),
    )

    def other() -> None:
        runner.run(OtherAttestation(evidence, _NONCE, config).verify())

    other()
    return Candidate("an App Attest attestation", verify, _signatures(path), ("pyattest", other))


def _app_assertion(now: datetime) -> Candidate:
    minted = apple.Attestation(client_data_hash=hashlib.sha256(_NONCE).digest())
    policy = AppAttestPolicy(
        app_ids=frozenset({apple.APP_ID}),
        anchors=TrustAnchors(
            (apple_certificates.app_attest_root().certificate,), allow_test_roots=True
        ),
    )
    key = verify_app_attestation(
        minted.object,
        key_id=minted.key_id,
        client_data_hash=minted.client_data_hash,
        policy=policy,
        now=now,
    )
    asserted = apple.Assertion(client_data=_NONCE)
    evidence = asserted.object

    def verify() -> object:
        return verify_app_assertion(
            evidence, client_data=_NONCE, key=key, last_counter=0, policy=policy
        )

    verify()
    message = asserted.nonce(asserted.authenticator_data)
    signature = pki.sign(pki.private_key(asserted.label), message)
    return Candidate(
        "an App Attest assertion", verify, _signatures((), (key.public_key, signature, message))
    )


def _webauthn(now: datetime) -> Candidate:
    parts = webauthn.Parts(challenge=_NONCE)
    issuers = android.rkp_issuers(now)
    # The newest description whose every tag the other library's schema knows.
    description = android_description.description(
        challenge=parts.client_data_hash,
        version=_OTHER_KNOWS,
        software=android_description.software_list(created=now),
        hardware=android_description.hardware_list(version=_OTHER_KNOWS),
    )
    statement = webauthn.android_key(parts, description=description, issuers=issuers)
    evidence = webauthn.registration(parts, statement)
    root = android.google_root().certificate
    policy = WebAuthnPolicy(
        rp_id=parts.rp_id,
        origins=frozenset({parts.origin}),
        android_anchors=TrustAnchors((root,), allow_test_roots=True),
    )
    revocation = RevocationList.from_json(android.status_list(), fetched_at=now)
    client_data = parts.client_data_json

    def verify() -> object:
        return verify_webauthn_registration(
            evidence,
            client_data_json=client_data,
            challenge=_NONCE,
            policy=policy,
            revocation=revocation,
            now=now,
        )

    verify()
    leaf = android.mint_leaf(
        parts.key.public_key(),
        android.issue(issuers)[0],
        [(android.key_description_extension(description.encoded()), False)],
    )
    chain = android.chain_of(leaf, android.issue(issuers))
    path = [x509.load_der_x509_certificate(der) for der in chain]
    signature = pki.sign(parts.key, parts.signed)
    credential = {
        "id": webauthn.base64url(parts.credential_id),
        "rawId": webauthn.base64url(parts.credential_id),
        "type": "public-key",
        "response": {
            "attestationObject": webauthn.base64url(evidence),
            "clientDataJSON": webauthn.base64url(client_data),
        },
    }
    pem = root.public_bytes(Encoding.PEM)

    def other() -> None:
        verify_registration_response(
            credential=credential,
            expected_challenge=_NONCE,
            expected_rp_id=parts.rp_id,
            expected_origin=parts.origin,
            # A new list each time: the library appends its own roots to the one it is given.
            pem_root_certs_bytes_by_fmt={AttestationFormat.ANDROID_KEY: [pem]},
        )

    other()
    signatures = _signatures(path, (parts.key.public_key(), signature, parts.signed))
    return Candidate(
        "a WebAuthn registration (android-key)", verify, signatures, ("webauthn", other)
    )
