"""Makes Play Integrity's numbered cases out of tokens and payloads, each from its control."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.testing import pki, play
from quorumkey_attestation.testing.case import Case
from quorumkey_attestation.testing.play import Token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.errors import Reason
    from quorumkey_attestation.testing.play import Json

__all__ = ["control_token", "keys", "payload_case", "settings_of", "token_case"]


def settings_of(
    policy: Mapping[str, object] | None = None, expect: Mapping[str, object] | None = None
) -> Mapping[str, object]:
    """Return the policy that the controls pass, with changes."""
    return {
        "package": play.PACKAGE,
        "certificate_digests": [play.CERTIFICATE_DIGEST.hex()],
        **(policy or {}),
        "expect": {"nonce": play.NONCE} if expect is None else expect,
    }


def keys() -> dict[str, object]:
    """Return the two keys that open the test tokens, as a policy file has them."""
    public_key = play.signing_key().public_key()
    spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"decryption_key": play.DECRYPTION_KEY.hex(), "verification_key": spki.hex()}


def control_token(*, jwe_header: bytes | None = None, jws_header: bytes | None = None) -> Token:
    """Return the control's token, with other headers where they are given."""
    token = Token(content=play.encode_json(play.payload()))
    return replace(
        token,
        jwe_header=token.jwe_header if jwe_header is None else jwe_header,
        jws_header=token.jws_header if jws_header is None else jws_header,
    )


def token_case(  # noqa: PLR0913  # as Case
    number: str,
    title: str,
    token: str,
    reason: Reason | None = None,
    check: str | None = None,
    *,
    expect: Mapping[str, object] | None = None,
    has_reading: bool = True,
) -> Case:
    """Return a case that is a token, to be opened with our own keys."""
    return Case(
        id=number,
        title=title,
        procedure="play",
        control=None if number == "P0a" else "P0a",
        reason=reason,
        check=check,
        has_reading=has_reading,
        evidence={"token.txt": token.encode()},
        settings=settings_of(expect={"nonce": play.NONCE, **keys(), **(expect or {})}),
        at=pki.NOW,
    )


def payload_case(  # noqa: PLR0913  # as Case
    number: str,
    title: str,
    changes: Mapping[str, Mapping[str, Json]],
    reason: Reason | None = None,
    check: str | None = None,
    *,
    control: str | None = "P0b",
    settings: Mapping[str, object] | None = None,
    payload: Mapping[str, Json] | None = None,
) -> Case:
    """Return a case that is a payload which Google has decoded.

    Args:
        number: its id.
        title: what is different.
        changes: for each part of the payload, the members that differ; None as a value would be
            JSON's null, so a member is left out by ``payload``.
        reason: why it is refused.
        check: what refuses it.
        control: the case it was made from.
        settings: the policy, where it is not the plain one.
        payload: what ``changes`` are applied to; by default the control's.
    """
    changed = dict(play.payload() if payload is None else payload)
    for part, members in changes.items():
        before = changed.get(part, {})
        changed[part] = {**(before if isinstance(before, dict) else {}), **members}
    return Case(
        id=number,
        title=title,
        procedure="play",
        control=control,
        reason=reason,
        check=check,
        evidence={"payload.json": play.encode_json(changed)},
        settings=settings or settings_of(),
        at=pki.NOW,
    )
