"""A registration whose parts have been read, as the statement procedures see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from quorumkey_attestation.cbor import CborKey, CborValue
    from quorumkey_attestation.webauthn.authenticator_data import AttestedCredential
    from quorumkey_attestation.webauthn.policy import CredentialPublicKey

__all__ = ["Registered", "Verdict"]


class Registered(NamedTuple):
    """What an attestation statement is about.

    Attributes:
        attestation_object: the whole object, in CBOR.
        format: the statement's format.
        statement: the statement, decoded.
        authenticator_data: the authenticator data, as it was signed.
        credential: the new credential in it.
        public_key: the credential's key.
        algorithm: the COSE algorithm of that key.
        client_data_json: what the browser says.
        client_data_hash: its SHA-256.
    """

    attestation_object: bytes
    format: str
    statement: dict[CborKey, CborValue]
    authenticator_data: bytes
    credential: AttestedCredential
    public_key: CredentialPublicKey
    algorithm: int
    client_data_json: bytes
    client_data_hash: bytes

    @property
    def signed(self) -> bytes:
        """What most formats sign: the authenticator data and the hash of the client data."""
        return self.authenticator_data + self.client_data_hash


class Verdict(NamedTuple):
    """What a statement proves.

    Attributes:
        attested: whether a trusted root vouches for the authenticator.
        stays: whether nothing that it vouches for says that the key can be elsewhere as well.
        serials: the serial numbers to look up in later revocation lists; lower-case hex.
    """

    attested: bool
    stays: bool = True
    serials: tuple[str, ...] = ()
