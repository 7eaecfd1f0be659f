"""The software device: an approver's key on a computer, with the checks of a phone.

It does what PROTOCOL §4, §6 and §7 ask of any device: pins the relay's key at pairing, verifies
every challenge and request envelope before it offers Approve, keeps what it signed, and never
signs both decisions for one request. What it does not have is a person's fingerprint or PIN before
each signature: whoever can read its home folder can decide in its name.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from quorumkey.client.address import RelayAddress
from quorumkey.client.pins import RelayPins
from quorumkey.device import _api
from quorumkey.device.answering import answer
from quorumkey.device.decisions import Choice
from quorumkey.device.enrolling import check_enrolled, reattest, set_push, wrong_relay
from quorumkey.device.enrolling import enroll as send
from quorumkey.device.errors import NotPairedError
from quorumkey.device.events import RequestArrived, RequestWithdrawn
from quorumkey.device.gated_calls import GatedCalls
from quorumkey.device.home import DeviceHome, RelayRecord
from quorumkey.device.identity import Identity
from quorumkey.device.pairing_link import PairingLink
from quorumkey.device.pushes import Withdraws, checked_push
from quorumkey.device.session import Connection, DevicePorts, RelaySession
from quorumkey.device.unpairing import unpair
from quorumkey.errors import ConfigurationError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping
    from types import TracebackType
    from typing import Self

    from quorumkey.device._api import Answered, Enrolled, PairingPreview, Reattested
    from quorumkey.device.attesting import Attest
    from quorumkey.device.events import DeviceEvent
    from quorumkey.device.home import RelayFolder
    from quorumkey.device.listener import Listener, Show
    from quorumkey.device.review import DeviceRequest, ReceivedRequest
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.push_address import PushAddress

__all__ = ["SoftwareDevice"]

#: What enrolling answers where the key was revoked.
_REVOKED: Final = "device_revoked"


class SoftwareDevice:
    """A device whose keys are files under `home`; use it with ``async with``.

    Args:
        home: its folder; made with mode 0700 at enrolment.
        relay_url: which relay, where it knows several; also where a typed code is for.
        http_hosts: host names that may be called without TLS, in development only.
        ports: clock, pauses and transport.
    """

    def __init__(
        self,
        home: Path | str,
        *,
        relay_url: str | None = None,
        http_hosts: Collection[str] = (),
        ports: DevicePorts | None = None,
    ) -> None:
        self._home = DeviceHome(Path(home))
        self._relay_url = relay_url
        self._http_hosts = tuple(http_hosts)
        self._ports = ports or DevicePorts()
        self._session: RelaySession | None = None
        self._listener: Listener | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.connection.close()

    def identities(self) -> list[Identity]:
        """Who this device is at each relay it knows.

        Raises:
            KeyFileError: a file is damaged or open to other users.
        """
        return [Identity.of(folder, record) for folder, record in self._home.relays()]

    @property
    def identity(self) -> Identity:
        """Who this device is at its relay.

        Raises:
            NotPairedError: it is paired with none, or with several and none was chosen.
            KeyFileError: a file is damaged or open to other users.
        """
        return Identity.of(*self._choose())

    # ------------------------------------------------------------ pairing

    async def preview(self, pairing: str) -> PairingPreview:
        """Ask who wants to pair; nothing is spent and nothing is kept.

        Args:
            pairing: a pairing link, or a typed code (with `relay_url`).

        Raises:
            ConfigurationError: it is neither.
            RelayMismatchError: the relay is not the one the link names.
            ClientError: the relay refused or did not answer.
        """
        link = self._link(pairing)
        connection = Connection(link.address, self._ports)
        try:
            return await self._preview(connection, link)
        finally:
            await connection.close()

    async def enroll(
        self,
        pairing: str,
        *,
        preview: PairingPreview | None = None,
        attest: Attest | None = None,
        push: PushAddress | None = None,
    ) -> Enrolled:
        """Pair this device: pin the relay, make a key for it, bind it to the link's secret.

        Args:
            pairing: a pairing link, or a typed code (with `relay_url`).
            preview: what `preview` answered and the person agreed to; the relay must still be
                that one.
            attest: makes the evidence of where the key lives, for the nonce and the key that it is
                given; called in a thread, once for each attempt. None sends no evidence. What it
                raises is raised here.
            push: where to be woken; None leaves it as it is, for a new key nowhere.

        Raises:
            ConfigurationError: `pairing` is neither a link nor a code.
            RelayMismatchError: the relay is not the one that the link, an earlier pairing or the
                preview names.
            KeyFileError: the key cannot be stored; nothing was enrolled then.
            ClientError: the relay refused or did not answer.
        """
        link = self._link(pairing)
        await self.close()
        connection = Connection(link.address, self._ports)
        try:
            seen = preview or await self._preview(connection, link)
            session = await self._prepare(connection, link, seen)
            try:
                enrolled = await send(session, link, attest, push)
            except PermissionDeniedError as error:
                if error.code != _REVOKED or session.record.integrators:
                    raise
                # A revoked key never enrols again (PROTOCOL §4.5); a new one may.
                key = session.folder.renew_key()
                session = RelaySession(connection, session.folder, session.record, key)
                enrolled = await send(session, link, attest, push)
            check_enrolled(enrolled, session, seen)
            record = session.record
            others = tuple(i for i in record.integrators if i.id != enrolled.integrator.id)
            session.save(replace(record, integrators=(*others, enrolled.integrator)))
        except BaseException:
            await connection.close()
            raise
        self._session = session
        return enrolled

    async def reattest(self, attest: Attest) -> Reattested:
        """Prove anew where this device's key lives.

        Args:
            attest: makes the evidence, as in `enroll`.

        Returns:
            The level of the device from now on.

        Raises:
            NotPairedError: it is paired with nobody.
            ClientError: the relay refused, and the level is what it was; or did not answer.
        """
        return await reattest(self._open(), attest)

    async def set_push(self, address: PushAddress) -> None:
        """Say where this device wants to be woken from now on, on every pairing of its relay.

        Args:
            address: ``NoPushAddress()`` ends it.

        Raises:
            NotPairedError: it is paired with nobody.
            ClientError: the relay refused or did not answer.
        """
        await set_push(self._open(), address)

    async def unpair(self, integrator_id: str | None = None) -> None:
        """End the pairing with one integrator, or with every one of this relay.

        Raises:
            NotPairedError: it is not paired with them.
            ClientError: the relay refused or did not answer; the pairing is kept then.
        """
        await unpair(self._open(), integrator_id)

    # ------------------------------------------------------------ requests

    async def pending(self, *, every: bool = False) -> list[DeviceRequest]:
        """The requests that wait for this device, or every one that named it; newest first.

        Raises:
            ClientError: the relay refused or did not answer.
        """
        session = self._open()
        requests: list[DeviceRequest] = []
        cursor: str | None = None
        while True:
            page = await session.authorised(_api.list_requests(every=every, cursor=cursor))
            requests += [await self._review(item, item.request_id) for item in page.data]
            cursor = page.next_cursor
            if cursor is None:
                return requests

    async def show(self, request_id: str, *, led_by: Envelope | None = None) -> DeviceRequest:
        """Fetch one request and check it (PROTOCOL §6).

        Args:
            request_id: which.
            led_by: the challenge that led here, if one did.

        Raises:
            ClientError: the relay refused or did not answer.
        """
        received = await self._open().authorised(_api.get_request(request_id))
        return await self._review(received, request_id, led_by)

    async def open_push(
        self, payload: Mapping[str, JsonValue] | bytes
    ) -> RequestArrived | RequestWithdrawn:
        """Read what a push carried, and fetch and check the request that it leads to.

        Args:
            payload: APNs: the whole payload; FCM: its ``data``; Web Push: the decrypted body.
                As an object, or as the bytes of its JSON.

        Returns:
            The request as `show` checks it, with the push's challenge, if there was room for one;
            or that a request has ended, by nobody's proof.

        Raises:
            ProtocolError: it is no push of the protocol, or its challenge is not the pinned
                relay's for this device and request; nothing was fetched then.
            RelayMismatchError: the challenge is of a relay that is not pinned.
            ClientError: the relay refused or did not answer.
        """
        session = self._open()
        content = await checked_push(session, payload)
        if isinstance(content, Withdraws):
            return RequestWithdrawn(content.request_id)
        return RequestArrived(await self.show(content.request_id, led_by=content.challenge))

    async def acknowledge(self, request_id: str) -> None:
        """Tell the relay that the request was shown to the person."""
        if self._listener is not None and await self._listener.acknowledge(request_id):
            return
        await self._open().authorised(_api.acknowledge(request_id))

    async def approve(self, request: str | DeviceRequest, *, code: str | None = None) -> Answered:
        """Sign an approval and send it.

        Args:
            request: a request that was shown, or the id of one to fetch and check now.
            code: the match code the person was told, where the request asks for one.

        Raises:
            NotAnswerableError: a check failed, or the other decision has been signed.
            ClientError: the relay refused (``wrong_code``, ``request_completed`` …) or did not
                answer; the same call may then be made again.
        """
        return await self._answer(request, Choice.APPROVE, code=code, reason=None)

    async def deny(self, request: str | DeviceRequest, *, reason: str | None = None) -> Answered:
        """Sign a denial and send it.

        Args:
            request: a request that was shown, or the id of one to fetch and check now.
            reason: a sentence for the audit trail; integrators do not see it.

        Raises:
            NotAnswerableError: the request is not the relay's, or an approval has been signed.
            ClientError: the relay refused or did not answer.
        """
        return await self._answer(request, Choice.DENY, code=None, reason=reason)

    def gated_calls(self, integrator_id: str | None = None) -> GatedCalls:
        """Calls of protected methods, as an administrator of this integrator is told of them."""
        return GatedCalls(self._open(), integrator_id)

    async def listen(self) -> AsyncGenerator[DeviceEvent]:
        """Stay connected and yield what happens, for as long as the caller goes on.

        Connections that break are made again after 1 to 30 seconds.

        Raises:
            ConfigurationError: the extra ``cli`` is not installed.
            StreamClosedError: the device is revoked, unpaired, or connected elsewhere.
            RelayMismatchError: the relay is not the pinned one.
        """
        self._listener = listener = _listener(self._open(), self.show)
        try:
            async with aclosing(listener.events()) as events:
                async for event in events:
                    yield event
        finally:
            self._listener = None

    # ------------------------------------------------------------ inside

    def _link(self, pairing: str) -> PairingLink:
        return PairingLink.parse(pairing, relay_url=self._relay_url, http_hosts=self._http_hosts)

    def _choose(self) -> tuple[RelayFolder, RelayRecord]:
        if self._relay_url is None:
            return self._home.only()
        address = RelayAddress.parse(self._relay_url, http_hosts=self._http_hosts)
        known = self._home.at(address)
        if known is None:
            raise NotPairedError(f"This device is not paired with a relay at {address.base}.")
        return known

    def _open(self) -> RelaySession:
        if self._session is None:
            folder, record = self._choose()
            if not record.integrators:
                raise NotPairedError(
                    f"This device is not paired at {record.address.base} any more."
                )
            connection = Connection(record.address, self._ports)
            self._session = RelaySession(connection, folder, record, folder.key())
        return self._session

    async def _preview(self, connection: Connection, link: PairingLink) -> PairingPreview:
        preview = await connection.call(_api.preview_pairing(link.code))
        known = self._home.at(link.address)
        if known is None and link.relay is not None and preview.relay != link.relay:
            raise wrong_relay(link)
        return preview

    async def _prepare(
        self, connection: Connection, link: PairingLink, preview: PairingPreview
    ) -> RelaySession:
        """Decide which relay keys count, then make sure that there is a key for that relay."""
        known = self._home.at(link.address)
        if known is not None:
            folder, record = known
            session = RelaySession(connection, folder, record, folder.key())
            for fingerprint in {preview.relay, link.relay or preview.relay}:
                await session.trust(fingerprint)
            return session
        nonce = await connection.call(_api.make_nonce())
        fingerprint = nonce.relay_public_key.fingerprint
        if fingerprint != preview.relay or (link.relay or fingerprint) != fingerprint:
            raise wrong_relay(link)
        pins = RelayPins.of((nonce.relay_public_key,))
        self._home.prepare()
        folder = self._home.folder_for(pins)
        record = RelayRecord(address=link.address, pins=pins)
        return RelaySession(connection, folder, record, folder.prepare())

    async def _review(
        self, received: ReceivedRequest, request_id: str, led_by: Envelope | None = None
    ) -> DeviceRequest:
        session = self._open()
        for envelope in (received.request, received.challenge):
            if envelope.keyid not in session.record.pins:
                # A new relay key is followed here; one that is not reached is the review's to name.
                await session.follow()
        return session.reviewer.review(
            received, request_id=request_id, now=session.connection.now(), led_by=led_by
        )

    async def _answer(
        self,
        request: str | DeviceRequest,
        choice: Choice,
        *,
        code: str | None,
        reason: str | None,
    ) -> Answered:
        asked = await self.show(request) if isinstance(request, str) else request
        return await answer(self._open(), asked, choice, code=code, reason=reason)


def _listener(session: RelaySession, show: Show) -> Listener:
    """Make a listener; only here is the package needed that carries sockets."""
    try:
        from quorumkey.device.listener import Listener  # noqa: PLC0415 - the extra may be missing
    except ImportError:
        raise ConfigurationError(
            "Listening needs the extra cli: pip install 'quorumkey[cli]'."
        ) from None
    return Listener(session, show)
