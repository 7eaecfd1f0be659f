"""What both clients do, as flows: settings, trust, requests, pairings, devices."""

from __future__ import annotations

import os
import re
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

from quorumkey.client import _calls
from quorumkey.client._exchange import Flow, Pause, RetryPolicy, exchange
from quorumkey.client.address import RelayAddress
from quorumkey.client.approvals import (
    Approved,
    CreatedRequest,
    NotApproved,
    Outcome,
    RequestOptions,
    request_body,
)
from quorumkey.client.models import PairingStatus, Status
from quorumkey.client.pairing import (
    AttestationEvidence,
    ConfirmedDevice,
    Pairing,
    confirm,
)
from quorumkey.client.pins import Pin, RelayPins
from quorumkey.errors import (
    ConfigurationError,
    PairingNotConfirmedError,
    ProtocolError,
    RateLimitedError,
    ReceiptRefused,
    RefusalReason,
    RelayError,
    TransportError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from quorumkey.protocol.encoding import b64encode
from quorumkey.protocol.keys import PublicKey
from quorumkey.protocol.limits import MAX_WAIT_SECONDS, NONCE_BYTES, PAIRING_SECRET_BYTES
from quorumkey.protocol.policy import Party, Policy
from quorumkey.protocol.statements import Enrollment, Receipt, RequestDocument
from quorumkey.receipts import VerificationPolicy, verify_with_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from quorumkey.client._exchange import Call
    from quorumkey.client.models import Info, PairingState, RequestState
    from quorumkey.protocol.action import Action
    from quorumkey.protocol.dsse import Envelope, PasskeyPolicy
    from quorumkey.protocol.policy import Approver, Group
    from quorumkey.receipts import VerifiedReceipt

__all__ = ["ClientPorts", "Core"]

T = TypeVar("T")

URL_VARIABLE: Final = "QUORUMKEY_URL"
API_KEY_VARIABLE: Final = "QUORUMKEY_API_KEY"
_API_KEY: Final = re.compile(r"qk_(?:live|test)_[0-9a-f]{64}", re.ASCII)
_IDEMPOTENCY_KEY_BYTES: Final = 16
#: How much longer than a request stays open `wait` waits for the relay to say that it ended.
_WAIT_GRACE_SECONDS: Final = 60
#: The least time between two questions whether something has happened.
_MIN_POLL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPorts:
    """What a client takes from the world around it; tests give their own.

    Attributes:
        now: seconds since the epoch.
        monotonic: seconds that only grow.
        random_bytes: unpredictable bytes.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    random_bytes: Callable[[int], bytes] = secrets.token_bytes


@dataclass(slots=True, kw_only=True)
class Core:
    """One client's settings and what it has come to trust."""

    address: RelayAddress
    api_key: str = field(repr=False)
    pins: RelayPins | None
    integrator_id: str | None
    passkeys: PasskeyPolicy | None
    retry: RetryPolicy
    ports: ClientPorts
    successions: tuple[Envelope, ...] = ()

    @staticmethod
    def make(  # noqa: PLR0913 - a client's settings
        url: str | None,
        api_key: str | None,
        *,
        relay_public_keys: Iterable[PublicKey | str] | None,
        integrator_id: str | None,
        passkeys: PasskeyPolicy | None,
        retry: RetryPolicy | None,
        ports: ClientPorts | None,
        http_hosts: Iterable[str],
        environment: Mapping[str, str] | None = None,
    ) -> Core:
        """Check the settings; what is not given comes from the environment.

        Raises:
            ConfigurationError: one is missing or unusable.
        """
        variables = os.environ if environment is None else environment
        url = url if url is not None else variables.get(URL_VARIABLE)
        api_key = api_key if api_key is not None else variables.get(API_KEY_VARIABLE)
        if not url:
            raise ConfigurationError(
                f"The relay's address is missing: give it or set {URL_VARIABLE}."
            )
        if not api_key:
            raise ConfigurationError(f"The API key is missing: give it or set {API_KEY_VARIABLE}.")
        if not _API_KEY.fullmatch(api_key):
            raise ConfigurationError("The API key must be qk_live_ or qk_test_ and 64 hex digits.")
        return Core(
            address=RelayAddress.parse(url, http_hosts=tuple(http_hosts)),
            api_key=api_key,
            pins=None if relay_public_keys is None else RelayPins.of(_keys(relay_public_keys)),
            integrator_id=integrator_id,
            passkeys=passkeys,
            retry=retry or RetryPolicy(),
            ports=ports or ClientPorts(),
        )

    @property
    def headers(self) -> dict[str, str]:
        """What every call carries."""
        return {"authorization": f"Bearer {self.api_key}"}

    def call(self, call: Call[T]) -> Flow[T]:
        """One call, repeated where that is safe."""
        return exchange(call, self.retry)

    def now(self) -> int:
        """Seconds since the epoch."""
        return int(self.ports.now())

    # ------------------------------------------------------------ trust

    def trusted(self, fingerprint: str | None = None) -> Flow[RelayPins]:
        """The pinned relay keys: given, or those the relay named first ("trust on first use").

        Where `fingerprint` is none of them, the relay's key changes are followed (PROTOCOL §11).
        """
        pins = self.pins
        if pins is not None and (fingerprint is None or fingerprint in pins):
            return pins
        info: Info = yield from self.call(_calls.get_info())
        if self.pins is None:
            self.pins = RelayPins.of((info.relay_public_key,))
        self.successions = info.successions
        self.pins = self.pins.follow(info.successions)
        return self.pins

    # ------------------------------------------------------------ requests

    def create_request(
        self, *, action: Action, groups: Sequence[Group], required: int, options: RequestOptions
    ) -> Flow[CreatedRequest]:
        """Make a request; see `Client.requests.create`."""
        pins = yield from self.trusted()
        nonce = options["nonce"] if "nonce" in options else self.ports.random_bytes(NONCE_BYTES)
        policy = VerificationPolicy(
            relay_public_keys=tuple(pin.key for pin in pins.pins),
            action=action,
            policy=Policy(
                required=required,
                groups=tuple(groups),
                reject_policy=options.get("reject_policy", "any"),
                distinct=options.get("distinct", "person"),
                min_assurance=options.get("min_assurance", "none"),
                match_code="match_code" in options,
            ),
            integrator_id=self.integrator_id,
            nonce=b64encode(nonce),
            requester=options.get("requester"),
            match_code=options.get("match_code"),
            webauthn=self.passkeys,
        )
        body = request_body(
            action=action.to_json(),
            groups=policy.policy.groups,
            required=required,
            nonce=b64encode(nonce),
            options=options,
        )
        key = self.idempotency_key(options.get("idempotency_key"))
        state = yield from self.call(_calls.create_request(body, idempotency_key=key))
        return CreatedRequest(state=state, policy=policy)

    def idempotency_key(self, given: str | None) -> str:
        """The caller's own key, or a new one."""
        return self.ports.random_bytes(_IDEMPOTENCY_KEY_BYTES).hex() if given is None else given

    def wait(self, created: CreatedRequest, timeout: float | None) -> Flow[Outcome]:
        """Wait for the end of a request; see `Client.requests.wait`."""
        if timeout is None:
            state = created.state
            timeout = state.expires_at - state.created_at + _WAIT_GRACE_SECONDS
        deadline = self.ports.monotonic() + timeout
        while True:
            asked_at = self.ports.monotonic()
            wait_seconds = max(0, min(MAX_WAIT_SECONDS, int(deadline - asked_at)))
            call = _calls.get_request(created.request_id, wait_seconds=wait_seconds)
            answer = yield from self._patiently(call, deadline)
            if answer is not None and answer.status is not Status.PENDING:
                return (yield from self.outcome(created, answer))
            now = self.ports.monotonic()
            if now >= deadline:
                raise WaitTimeoutError(f"The request {created.request_id} is still pending.")
            # A relay that does not hold the question must not be asked without a pause.
            rest = min(asked_at + _MIN_POLL_SECONDS, deadline) - now
            if rest > 0:
                yield Pause(rest)

    def _patiently(self, call: Call[T], deadline: float) -> Flow[T | None]:
        """A call whose passing failures are no reason to give up before the deadline."""
        try:
            return (yield from self.call(call))
        except UnexpectedAnswerError:
            raise
        except (TransportError, RelayError, RateLimitedError):
            if self.ports.monotonic() >= deadline:
                raise
            return None

    def resolve(self, created: CreatedRequest) -> Flow[Outcome | None]:
        """Ask once how a request stands; see `Client.requests.resolve`."""
        state = yield from self.call(_calls.get_request(created.request_id))
        if state.status is Status.PENDING:
            return None
        return (yield from self.outcome(created, state))

    def outcome(self, created: CreatedRequest, state: RequestState) -> Flow[Outcome]:
        """How a finished request ended: approved only with a receipt that passed."""
        if state.status is not Status.APPROVED:
            return NotApproved(state=state)
        receipt = yield from self.call(_calls.get_receipt(created.request_id))
        policy, verified = yield from self.verify(receipt, created)
        people = {
            approver.fingerprint: approver
            for group in created.policy.policy.groups
            for approver in group.approvers
        }
        approvers: tuple[Approver, ...] = tuple(
            people[decision.device] for decision in verified.decisions
        )
        return Approved(
            state=state, receipt=receipt, policy=policy, verified=verified, approvers=approvers
        )

    def verify(
        self, receipt: Envelope, created: CreatedRequest
    ) -> Flow[tuple[VerificationPolicy, VerifiedReceipt]]:
        """Check a receipt against the caller's own policy and the pinned relay keys.

        Where no integrator id was given, the first receipt that passes names it ("trust on first
        use"); the nonce that only this caller knew ties the receipt to its request either way.
        """
        known = yield from self.trusted(receipt.keyid)
        pins = _joined(known, created.policy.relay_public_keys).follow(self.successions)
        policy = replace(
            created.policy,
            relay_public_keys=_keys_for(receipt, pins),
            integrator_id=created.policy.integrator_id or self.integrator_id,
        )
        verified = verify_with_policy(
            receipt.encode(),
            policy,
            now=self.now(),
            unsafe_any_request=policy.integrator_id is None,
        )
        integrator_id = verified.request.integrator.id
        self.integrator_id = self.integrator_id or integrator_id
        return replace(policy, integrator_id=integrator_id), verified

    # ------------------------------------------------------------ pairings

    def create_pairing(
        self, approver: Party, *, expires_in_seconds: int | None, idempotency_key: str | None
    ) -> Flow[Pairing]:
        """Make a pairing; see `Client.pairings.create`."""
        yield from self.trusted()
        body = {"approver": approver.to_json()}
        limit = {} if expires_in_seconds is None else {"expires_in_seconds": expires_in_seconds}
        call = _calls.create_pairing(
            {**body, **limit}, idempotency_key=self.idempotency_key(idempotency_key)
        )
        fields = yield from self.call(call)
        secret = self.ports.random_bytes(PAIRING_SECRET_BYTES)
        pairing = Pairing.parse(fields, approver=approver, secret=secret)
        pins = yield from self.trusted(pairing.relay)
        if pairing.relay not in pins:
            raise UnexpectedAnswerError("The relay's pairing link names another relay.")
        return pairing

    def confirm(
        self,
        pairing: Pairing,
        *,
        allow_unbound: bool,
        check_attestation: Callable[[AttestationEvidence], None] | None,
    ) -> Flow[ConfirmedDevice]:
        """Check a finished pairing; see `Client.pairings.confirm`."""
        state = yield from self.call(_calls.get_pairing(pairing.pairing_id))
        pins = yield from self.trusted(_relay_of(state) or pairing.relay)
        return confirm(
            pairing,
            state,
            pins=pins,
            passkeys=self.passkeys,
            allow_unbound=allow_unbound,
            check_attestation=check_attestation,
        )

    def wait_for_pairing(
        self, pairing: Pairing, *, timeout: float | None, allow_unbound: bool
    ) -> Flow[ConfirmedDevice]:
        """Wait until a device used the pairing; see `Client.pairings.wait`."""
        deadline = None if timeout is None else self.ports.monotonic() + timeout
        while True:
            state = yield from self.call(_calls.get_pairing(pairing.pairing_id))
            if state.status is PairingStatus.EXPIRED:
                raise PairingNotConfirmedError("The pairing has expired; no device used it.")
            if state.status is PairingStatus.PAIRED:
                return (
                    yield from self.confirm(
                        pairing, allow_unbound=allow_unbound, check_attestation=None
                    )
                )
            if deadline is not None and self.ports.monotonic() >= deadline:
                raise WaitTimeoutError("No device has used the pairing yet.")
            yield Pause(_MIN_POLL_SECONDS)


def _keys(keys: Iterable[PublicKey | str]) -> list[PublicKey]:
    if isinstance(keys, str):
        raise ConfigurationError("relay_public_keys must be a list of keys.")
    try:
        loaded = [
            key
            if isinstance(key, PublicKey)
            else PublicKey.from_base64(key, field="relay_public_keys")
            for key in keys
        ]
    except ProtocolError as error:
        raise ConfigurationError(str(error)) from None
    if not loaded:
        raise ConfigurationError("relay_public_keys is empty: no relay would be trusted.")
    return loaded


def _relay_of(state: PairingState) -> str | None:
    """Which relay the device enrolled at, by a payload that is not verified yet."""
    try:
        return Enrollment.decode(state.enrollment.payload).relay if state.enrollment else None
    except ProtocolError:
        return None


def _joined(pins: RelayPins, keys: Iterable[PublicKey]) -> RelayPins:
    """The pins and the keys that were pinned when the request was made."""
    more = tuple(Pin(key) for key in keys if key.fingerprint not in pins)
    return RelayPins((*pins.pins, *more))


def _keys_for(receipt: Envelope, pins: RelayPins) -> tuple[PublicKey, ...]:
    """The keys that may have signed this receipt, by the creation time of its request.

    The time is read before it is verified; `verify_receipt` then checks the signature over it.

    Raises:
        ReceiptRefused: every key had been replaced by then.
    """
    try:
        request = Receipt.decode(receipt.payload).request
        created_at = RequestDocument.decode(request.payload).created_at
    except ProtocolError:
        created_at = 0  # the verification that follows refuses it, with the reason
    keys = pins.keys_for(created_at)
    if not keys:
        raise ReceiptRefused(
            RefusalReason.UNTRUSTED_RELAY, "Every trusted relay key had been replaced by then.", 1
        )
    return keys
