"""What is left to the package ``webauthn``; the only module of this repository that imports it.

It reads COSE keys and verifies the statements of ``packed``, ``tpm`` and ``fido-u2f``. It is told
no root: with an empty list it looks at no chain, with any other it may add roots of its own, so
who is trusted is decided in :mod:`.statements` alone. Whatever it raises, over whatever bytes,
comes out of here as a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography
from webauthn.helpers.decode_credential_public_key import DecodedEC2PublicKey
from webauthn.helpers.structs import AttestationStatement
from webauthn.registration.formats.fido_u2f import verify_fido_u2f
from webauthn.registration.formats.packed import verify_packed
from webauthn.registration.formats.tpm import verify_tpm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    from quorumkey_attestation.webauthn.policy import CredentialPublicKey
    from quorumkey_attestation.webauthn.registered import Registered

__all__ = ["fault_of_statement", "read_cose_key"]

MAX_FAULT: Final = 200  # characters of another package's message that are passed on

_NO_AAGUID: Final = bytes(16)


def read_cose_key(encoded: bytes) -> CredentialPublicKey | None:
    """Return the key that a COSE_Key holds (RFC 9052 section 7).

    Args:
        encoded: its CBOR, which holds a map.

    Returns:
        The key; None for anything that is none of the kinds judged here, a point that is not on
        its curve, or coordinates of another length than the curve's.
    """
    try:
        decoded = decode_credential_public_key(encoded)
        key = decoded_public_key_to_cryptography(decoded)
    except Exception:  # noqa: BLE001  # it raises KeyError, TypeError and its own, as the bytes fall
        return None
    if isinstance(key, EllipticCurvePublicKey) and isinstance(decoded, DecodedEC2PublicKey):
        length = (key.key_size + 7) // 8
        return key if len(decoded.x) == len(decoded.y) == length else None
    return key if isinstance(key, RSAPublicKey | Ed25519PublicKey) else None


def fault_of_statement(registered: Registered) -> str | None:
    """Return what is wrong with a statement of ``packed``, ``tpm`` or ``fido-u2f``.

    The chain in it is not looked at, only its first certificate.

    Args:
        registered: the registration; the members of its statement have the types of their format.

    Returns:
        A message for people, or None where nothing is wrong.
    """
    members = cast("Mapping[str, object]", registered.statement)
    statement = AttestationStatement(
        sig=cast("bytes | None", members.get("sig")),
        x5c=cast("list[bytes] | None", members.get("x5c")),
        alg=cast("COSEAlgorithmIdentifier | None", members.get("alg")),
        ver=cast("str | None", members.get("ver")),
        cert_info=cast("bytes | None", members.get("certInfo")),
        pub_area=cast("bytes | None", members.get("pubArea")),
    )
    try:
        if registered.format == "fido-u2f":
            verify_fido_u2f(
                attestation_statement=statement,
                client_data_json=registered.client_data_json,
                rp_id_hash=registered.authenticator_data[:32],
                credential_id=registered.credential.credential_id,
                credential_public_key=registered.credential.cose_key,
                # The model is not part of what this format signs, nor of how the specification
                # verifies it (section 8.6); its own test vectors have one here.
                aaguid=_NO_AAGUID,
                pem_root_certs_bytes=[],
            )
        else:
            verify = verify_tpm if registered.format == "tpm" else verify_packed
            verify(
                attestation_statement=statement,
                attestation_object=registered.attestation_object,
                client_data_json=registered.client_data_json,
                credential_public_key=registered.credential.cose_key,
                pem_root_certs_bytes=[],
            )
    except Exception as error:  # noqa: BLE001  # as above
        return f"{type(error).__name__}: {error}"[:MAX_FAULT]
    return None
