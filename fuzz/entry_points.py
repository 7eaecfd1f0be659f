"""The entry points of quorumkey_attestation, each as one function of bytes, with evidence to start.

The promise under test: any bytes give a result or an AttestationError. What an entry point is told
besides the evidence (policy, keys, the moment) is that of the minted controls, so that what is
minted is accepted and a changed bit is not.

Most changes stop at a signature, which no fuzzer forges. So every input that is refused is run a
second time with each check passed over, which leads it through the code that stands behind them.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from quorumkey_attestation import AttestationError, RevocationList
from quorumkey_attestation.android.key_description import KEY_DESCRIPTION_OID, read_key_description
from quorumkey_attestation.android.verification import examine_android_key
from quorumkey_attestation.apple.assertion import examine_app_assertion
from quorumkey_attestation.apple.attestation import examine_app_attestation
from quorumkey_attestation.apple.policy import AppAttestKey
from quorumkey_attestation.apple.receipt import examine_app_receipt
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.evidence_files import EvidenceFile, read_chain
from quorumkey_attestation.expectations import (
    expect_android,
    expect_apple_assertion,
    expect_apple_attestation,
    expect_apple_receipt,
    expect_play,
    expect_webauthn_assertion,
    expect_webauthn_registration,
)
from quorumkey_attestation.play_integrity import examine_integrity, examine_payload, examine_token
from quorumkey_attestation.policy_file import (
    android_policy,
    app_attest_policy,
    files_of_case,
    integrity_policy,
    revocation_list,
    webauthn_policy,
)
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.catalog import entries
from quorumkey_attestation.webauthn.assertion import examine_webauthn_assertion
from quorumkey_attestation.webauthn.registration import examine_webauthn_registration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quorumkey_attestation.testing.case import Case, Procedure

__all__ = ["EntryPoint", "entry_point", "entry_points", "join", "split"]

_LENGTH_OCTETS: Final = 2  # before each part of an input but the last
_PART_BYTES: Final = 1 << 8 * _LENGTH_OCTETS
_CERTIFICATES: Final = 11  # certificates in an input's chain: one more than are read


class _Everything(AbstractSet[str]):
    """The set of all names, for an Audit that passes over every check."""

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One function that evidence is handed to.

    Attributes:
        name: what it is called on the command line.
        judge: the function; it may raise AttestationError and nothing else.
        seeds: evidence from the test PKI, good and bad, to start from.
    """

    name: str
    judge: Callable[[bytes, Audit], object]
    seeds: tuple[bytes, ...]

    def accepts(self, data: bytes) -> bool:
        """Run one input, and say whether it was accepted.

        Args:
            data: any bytes.

        Raises:
            Exception: anything but an AttestationError is the bug that is looked for.
        """
        try:
            self.judge(data, Audit())
        except AttestationError:
            self._pass_over_checks(data)
            return False
        return True

    def _pass_over_checks(self, data: bytes) -> None:
        try:
            self.judge(data, Audit(ignored=_Everything()))
        except AttestationError:
            return


def join(*parts: bytes) -> bytes:
    """Return several parts as one input: each but the last behind its length."""
    *before, last = parts
    return b"".join(len(part).to_bytes(_LENGTH_OCTETS) + part for part in before) + last


def split(data: bytes, count: int) -> list[bytes]:
    """Return the ``count`` parts of an input; whatever the bytes, there are as many."""
    parts: list[bytes] = []
    for _ in range(count - 1):
        length = int.from_bytes(data[:_LENGTH_OCTETS])
        parts.append(data[_LENGTH_OCTETS : _LENGTH_OCTETS + length])
        data = data[_LENGTH_OCTETS + length :]
    return [*parts, data]


def _cases(procedure: Procedure, *files: str) -> tuple[Case, tuple[Case, ...]]:
    """Return the first control of a procedure, and all cases that have these files."""
    found = [
        entry.case
        for entry in entries()
        if entry.case.procedure == procedure and entry.case.evidence.keys() >= set(files)
    ]
    return next(case for case in found if case.reason is None), tuple(found)


def _unique(seeds: list[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(seeds))


def _app_attestation() -> EntryPoint:
    control, cases = _cases("apple-attestation")
    policy = app_attest_policy(control.settings, files_of_case(control.evidence))
    expected = expect_apple_attestation(control.settings["expect"], "expect")

    def judge(data: bytes, audit: Audit) -> object:
        return examine_app_attestation(
            data,
            key_id=expected.key_id,
            client_data_hash=expected.client_data_hash,
            policy=policy,
            now=control.at,
            audit=audit,
        )

    seeds = [case.evidence["object.cbor"] for case in cases]
    return EntryPoint("app-attestation", judge, _unique(seeds))


def _app_assertion() -> EntryPoint:
    control, cases = _cases("apple-assertion")
    policy = app_attest_policy(control.settings, files_of_case(control.evidence))
    expected = expect_apple_assertion(control.settings["expect"], "expect")
    key = AppAttestKey.stored(
        key_id=expected.key_id,
        public_key_point=expected.public_key,
        app_id=expected.app_id,
        environment=expected.environment,
    )

    def judge(data: bytes, audit: Audit) -> object:
        return examine_app_assertion(
            data,
            client_data=expected.client_data,
            key=key,
            last_counter=expected.last_counter,
            policy=policy,
            challenge=expected.challenge,
            audit=audit,
        )

    seeds = [case.evidence["assertion.cbor"] for case in cases]
    return EntryPoint("app-assertion", judge, _unique(seeds))


def _app_receipt() -> EntryPoint:
    control, cases = _cases("apple-receipt")
    policy = app_attest_policy(control.settings, files_of_case(control.evidence))
    expected = expect_apple_receipt(control.settings["expect"], "expect")
    key = AppAttestKey.stored(
        key_id=expected.key_id,
        public_key_point=expected.public_key,
        app_id=expected.app_id,
        environment=expected.environment,
    )

    def judge(data: bytes, audit: Audit) -> object:
        return examine_app_receipt(
            data,
            key=key,
            policy=policy,
            now=control.at,
            max_age=expected.max_age,
            expected_type=expected.type,
            audit=audit,
        )

    seeds = [case.evidence["receipt.der"] for case in cases]
    return EntryPoint("app-receipt", judge, _unique(seeds))


def _android_key() -> EntryPoint:
    control, cases = _cases("android")
    files = files_of_case(control.evidence)
    policy = android_policy(control.settings, files)
    revocation = revocation_list(control.settings, files)
    expected = expect_android(control.settings["expect"], "expect")

    def judge(data: bytes, audit: Audit) -> object:
        certificates = 1 + data[0] % _CERTIFICATES if data else 0
        return examine_android_key(
            split(data[1:], certificates) if certificates else [],
            challenge=expected.challenge,
            policy=policy,
            revocation=revocation,
            now=control.at,
            public_key=expected.public_key,
            audit=audit,
        )

    chains = [_chain_of(case) for case in cases]
    seeds = [
        bytes([len(chain) - 1]) + join(*chain)
        for chain in chains
        if 1 <= len(chain) <= _CERTIFICATES and all(len(each) < _PART_BYTES for each in chain)
    ]
    return EntryPoint("android-key", judge, _unique(seeds))


def _key_description() -> EntryPoint:
    _, cases = _cases("android")
    leaves = [_chain_of(case)[:1] for case in cases]
    seeds = [found for leaf in leaves for der in leaf if (found := _description_in(der))]
    return EntryPoint("key-description", read_key_description, _unique(seeds))


def _chain_of(case: Case) -> tuple[bytes, ...]:
    return read_chain([EvidenceFile(case.id, case.evidence["chain.pem"])])


def _description_in(certificate: bytes) -> bytes | None:
    """Return the KeyDescription of a leaf, where the leaf can be read and has one."""
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        value = extensions.get_extension_for_oid(x509.ObjectIdentifier(KEY_DESCRIPTION_OID)).value
    except (ValueError, x509.DuplicateExtension, x509.ExtensionNotFound):
        return None
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None


def _revocation_list() -> EntryPoint:
    _, cases = _cases("android", "status.json")

    def judge(data: bytes, audit: Audit) -> object:
        listed = RevocationList.from_json(data, fetched_at=pki.NOW)
        listed.require_fresh(pki.NOW, audit)
        return listed.check(1)

    seeds = [case.evidence["status.json"] for case in cases]
    return EntryPoint("revocation-list", judge, _unique(seeds))


def _webauthn_registration() -> EntryPoint:
    control, cases = _cases("webauthn-registration")
    files = files_of_case(control.evidence)
    policy = webauthn_policy(control.settings, files)
    revocation = revocation_list(control.settings, files)
    expected = expect_webauthn_registration(control.settings["expect"], "expect")

    def judge(data: bytes, audit: Audit) -> object:
        client_data, attestation_object = split(data, 2)
        return examine_webauthn_registration(
            attestation_object,
            client_data_json=client_data,
            challenge=expected.challenge,
            policy=policy,
            revocation=revocation,
            now=control.at,
            audit=audit,
        )

    seeds = [
        join(case.evidence["client_data.json"], case.evidence["attestation_object.cbor"])
        for case in cases
    ]
    return EntryPoint("webauthn-registration", judge, _unique(seeds))


def _webauthn_assertion() -> EntryPoint:
    control, cases = _cases("webauthn-assertion")
    policy = webauthn_policy(control.settings, files_of_case(control.evidence))
    expected = expect_webauthn_assertion(control.settings["expect"], "expect")

    def judge(data: bytes, audit: Audit) -> object:
        authenticator_data, client_data, signature = split(data, 3)
        return examine_webauthn_assertion(
            authenticator_data=authenticator_data,
            client_data_json=client_data,
            signature=signature,
            challenge=expected.challenge,
            public_key=expected.public_key,
            last_sign_count=expected.last_sign_count,
            policy=policy,
            audit=audit,
        )

    names = ("authenticator_data.bin", "client_data.json", "signature.der")
    seeds = [join(*(case.evidence[name] for name in names)) for case in cases]
    return EntryPoint("webauthn-assertion", judge, _unique(seeds))


def _play_token() -> EntryPoint:
    control, cases = _cases("play", "token.txt")
    expected = expect_play(control.settings["expect"], "expect")
    verification_key = load_der_public_key(expected.verification_key or b"")
    if not isinstance(verification_key, ec.EllipticCurvePublicKey):
        raise TypeError("verification_key")
    key: ec.EllipticCurvePublicKey = verification_key

    def judge(data: bytes, audit: Audit) -> object:
        return examine_token(
            data.decode("latin-1"),
            decryption_key=expected.decryption_key or b"",
            verification_key=key,
            audit=audit,
        )

    return EntryPoint("play-token", judge, _unique([each.evidence["token.txt"] for each in cases]))


def _play_payload() -> EntryPoint:
    control, cases = _cases("play", "payload.json")
    policy = integrity_policy(control.settings)
    expected = expect_play(control.settings["expect"], "expect")

    def judge(data: bytes, audit: Audit) -> object:
        return examine_integrity(
            examine_payload(data, audit=audit),
            nonce=expected.nonce,
            request_hash=expected.request_hash,
            policy=policy,
            now=control.at,
            audit=audit,
        )

    seeds = [case.evidence["payload.json"] for case in cases]
    return EntryPoint("play-payload", judge, _unique(seeds))


_BUILDERS: Final[Mapping[str, Callable[[], EntryPoint]]] = MappingProxyType(
    {
        "app-attestation": _app_attestation,
        "app-assertion": _app_assertion,
        "app-receipt": _app_receipt,
        "android-key": _android_key,
        "key-description": _key_description,
        "revocation-list": _revocation_list,
        "webauthn-registration": _webauthn_registration,
        "webauthn-assertion": _webauthn_assertion,
        "play-token": _play_token,
        "play-payload": _play_payload,
    }
)


def entry_point(name: str) -> EntryPoint:
    """Return the entry point called ``name``.

    Raises:
        KeyError: none is.
    """
    return _BUILDERS[name]()


def entry_points() -> tuple[EntryPoint, ...]:
    """Return every entry point, in the order of the package's documentation."""
    return tuple(build() for build in _BUILDERS.values())
