"""The course of ``make demo-jit``, act by act."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from string import Template
from typing import TYPE_CHECKING, Final, cast

from examples.jit_access.stagehands import Somebody, open_town, served_relay

from quorumkey.device import visible
from quorumkey.errors import ReceiptRefused
from quorumkey.jit import verify_activation
from quorumkey.protocol import RoleActivation, parse_time
from quorumkey_relay.demo.process import Serving, initialise
from quorumkey_relay.demo.proof import ForgeryAcceptedError
from quorumkey_relay.demo.story import UnexpectedOutcomeError, trusting_client

if TYPE_CHECKING:
    from pathlib import Path

    from examples.jit_access.stagehands import Json, Mail, Town

    from quorumkey.client import AsyncClient, ConfirmedDevice
    from quorumkey.jit import VerifiedActivation
    from quorumkey_relay.demo.process import Initialised
    from quorumkey_relay.demo.stage import Stage

ORGANISATION: Final = "Acme Corp"
PROJECT: Final = "project-1"
ROLE: Final = "roles/compute.admin"
ENTITLEMENT: Final = f"{PROJECT}:{ROLE}"
REASON: Final = "BUG-12345"
MINUTES: Final = 30
#: How much later it is when the role is gone.
PASSING_MINUTES: Final = 31

_PEOPLE: Final = ("alice", "bob", "eve")
_MARKER: Final = "has({}.multiPartyApprovalConstraint)"
_SECONDS_A_MINUTE: Final = 60
_LABEL_CHARS: Final = 16
_LOOKS: Final = 40
_LOOK_SECONDS: Final = 0.25

#: Who may activate what, as ``gcloud projects get-iam-policy`` prints it.
_BINDINGS: Final[list[dict[str, object]]] = [
    {
        "role": ROLE,
        "members": ["user:alice@example.com", "user:bob@example.com"],
        "condition": {"title": "Eligible with a peer's approval", "expression": _MARKER},
    }
]
_SETTINGS: Final = Template("""\
integrator: $integrator
identity:
  oidc:
    issuer: $issuer
    audiences: [$audience]
    jwks_url: $jwks_url
eligibility:
  file: $policy
executors:
  - kind: gcp_iam
    name: google
    service_account_file: $account
    url: $cloud
notification:
  mail:
    sender_address: access@example.com
    host: 127.0.0.1
    port: $mail_port
    security: none
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What happened, for ``--json``."""

    request_id: str
    mail_to: tuple[str, ...]
    mail_subjects: tuple[str, ...]
    approved_by: tuple[str, ...]
    binding: Json
    had_role: bool
    has_role_after: bool
    refused: tuple[str, ...]


async def play(stage: Stage, folder: Path) -> Summary:
    """Run the whole demonstration in ``folder``.

    Raises ``RelayFailedError``, ``UnexpectedOutcomeError``, ``ForgeryAcceptedError`` or an error
    of the SDK.
    """
    data = folder / "relay"
    async with AsyncExitStack() as stack:
        stage.act("A relay of your own, between people and Google Cloud")
        made = await initialise(stage, data, ORGANISATION)
        town = await stack.enter_async_context(open_town(folder))
        town.cloud.put_policy(PROJECT, _BINDINGS)
        jit_file = _set_up(folder, made, town)
        stage.say(f"{jit_file} says:")
        for line in jit_file.read_text().splitlines():
            stage.say(f"  {line}", mood="dim")
        url = await stack.enter_async_context(served_relay(data, jit_file, town))
        stage.say(f"{url} serves; its clock is moved by hand")
        serving = Serving(url=url, relay=made.relay)
        client = await stack.enter_async_context(await trusting_client(made, serving))
        people = {
            name: Somebody(
                name=name,
                email=f"{name}@example.com",
                folder=folder,
                url=url,
                town=town,
                stage=stage,
            )
            for name in _PEOPLE
        }
        return await _Play(stage, town, made, client, **people).run()


def _set_up(folder: Path, made: Initialised, town: Town) -> Path:
    """Write who may activate what, and the settings that name everything."""
    policy, jit_file = folder / "policy.json", folder / "jit.yaml"
    policy.write_text(json.dumps({"project": PROJECT, "bindings": _BINDINGS}))
    jit_file.write_text(
        _SETTINGS.substitute(
            integrator=made.integrator.id,
            issuer=town.oidc.issuer,
            audience=town.oidc.client_id,
            jwks_url=town.oidc.jwks_url,
            policy=policy.name,
            account=town.cloud.files.service_account_file,
            cloud=town.cloud.url,
            mail_port=town.mail.port,
        )
    )
    return jit_file


class _Play:
    """The request, the approval, the grant, the proof and the end."""

    def __init__(  # noqa: PLR0913 - everybody on the stage
        self,
        stage: Stage,
        town: Town,
        made: Initialised,
        client: AsyncClient,
        *,
        alice: Somebody,
        bob: Somebody,
        eve: Somebody,
    ) -> None:
        self._stage = stage
        self._town = town
        self._made = made
        self._client = client
        self._alice = alice
        self._bob = bob
        self._eve = eve

    async def run(self) -> Summary:
        device = await self._pair()
        mail, link = await self._ask()
        await self._approve(link)
        asked = await self._granted(link)
        told = await self._town.mail.next()
        self._stage.say(f"an e-mail tells Alice: {visible(str(told.message['Subject']))}")
        await self._stage.beat()
        binding, had_role = self._in_the_cloud()
        proof, refused = await self._prove(asked, device)
        has_role = await self._time_passes()
        return Summary(
            request_id=proof.request_id,
            mail_to=mail.recipients,
            mail_subjects=tuple(str(one.message["Subject"]) for one in (mail, told)),
            approved_by=proof.approvers,
            binding=binding,
            had_role=had_role,
            has_role_after=has_role,
            refused=refused,
        )

    async def _pair(self) -> ConfirmedDevice:
        self._stage.act("Bob's device, whose key never leaves it")
        bob = self._bob
        pairing = await self._client.pairings.create(bob.email, "Bob")
        await bob.types(
            *("device", "enroll", "-", "--home", str(bob.home), "--yes"), stdin=pairing.url
        )
        await self._stage.beat()
        return await self._client.pairings.confirm(pairing)

    async def _ask(self) -> tuple[Mail, str]:
        """Alice sees what she may activate and who may approve it, and asks Bob."""
        self._stage.act("Alice asks for a role")
        alice = self._alice
        await alice.types("jit", "roles", PROJECT)
        await alice.types("jit", "peers", ENTITLEMENT)
        await alice.types(
            *("jit", "request", ENTITLEMENT, "--peer", self._bob.email),
            *("--justification", REASON, "--minutes", str(MINUTES)),
        )
        await self._stage.beat()
        self._stage.act("Bob gets an e-mail")
        mail = await self._town.mail.next()
        for name in ("From", "To", "Cc", "Subject", "Precedence"):
            if mail.message[name]:
                self._stage.say(f"  │ {name}: {visible(str(mail.message[name]))}")
        self._stage.say("  │")
        for line in mail.text.splitlines():
            self._stage.say(f"  │ {visible(line)}")
        found = re.search(r"http\S+/jit/\?activation=\S+", mail.text)
        if found is None:
            raise UnexpectedOutcomeError("the e-mail has no link")
        await self._stage.beat()
        return mail, found[0]

    async def _approve(self, link: str) -> None:
        """Whoever has the link has nothing; Bob's device signs what it has checked."""
        self._stage.act("The link alone is worth nothing; Bob approves on his device")
        await self._eve.is_refused("jit", "review", link)
        await self._bob.types("jit", "approve", link, "--home", str(self._bob.home), "--yes")
        await self._stage.beat()

    async def _granted(self, link: str) -> Json:
        """Wait until the target has confirmed."""
        status = ""
        for _ in range(_LOOKS):
            asked = cast("Json", await self._alice.reads("jit", "review", link))
            status = _status(asked)
            if status == "ACTIVE":
                return asked
            await asyncio.sleep(_LOOK_SECONDS)
        raise UnexpectedOutcomeError(f"the role is {status}")

    def _in_the_cloud(self) -> tuple[Json, bool]:
        """What Google Cloud has now: a binding that ends by itself."""
        self._stage.act("Google Cloud has a binding that ends by itself")
        *_, binding = self._town.cloud.bindings(PROJECT)
        for line in json.dumps(binding, indent=2).splitlines():
            self._stage.say(f"  {line}")
        has_role = self._has_role()
        self._stage.say(f"Alice has {ROLE}: {_yes(has_role)}", mood="approved")
        return binding, has_role

    def _has_role(self) -> bool:
        return self._town.cloud.has_role(self._alice.email, PROJECT, ROLE)

    async def _prove(
        self, asked: Json, device: ConfirmedDevice
    ) -> tuple[VerifiedActivation, tuple[str, ...]]:
        """The receipt proves what was approved to whoever knows Bob's key, and nothing else."""
        self._stage.act("The receipt, without the relay")
        (role,) = cast("list[dict[str, str]]", asked["roles"])
        start = parse_time(role["start"], field="start")
        activation = RoleActivation(
            beneficiary=self._alice.email,
            project=PROJECT,
            role=ROLE,
            justification=REASON,
            duration_seconds=parse_time(role["end"], field="end") - start,
            start=start,
        )
        receipt = (await self._client.requests.receipt(str(asked["request_id"]))).encode()
        proof = self._verify(receipt, activation, device)
        self._stage.say("the receipt proves that exactly this was approved", mood="approved")
        shown = {**activation.action().params, "signed by": ", ".join(proof.approvers)}
        for name, value in shown.items():
            self._stage.say(f"  {name:<{_LABEL_CHARS}}{value}")
        others = {
            "another role": replace(activation, role="roles/owner"),
            "another person": replace(activation, beneficiary=self._eve.email),
        }
        refused = tuple(
            self._refusal(receipt, other, device, what) for what, other in others.items()
        )
        await self._stage.beat()
        return proof, refused

    def _verify(
        self, receipt: bytes, activation: RoleActivation, device: ConfirmedDevice
    ) -> VerifiedActivation:
        return verify_activation(
            receipt,
            activation=activation,
            relay_public_keys=self._client.relay_public_keys,
            integrator_id=self._made.integrator.id,
            now=self._town.clock.now(),
            reviewers={self._bob.email: [device.device_public_key]},
        )

    def _refusal(
        self, receipt: bytes, activation: RoleActivation, device: ConfirmedDevice, what: str
    ) -> str:
        try:
            self._verify(receipt, activation, device)
        except ReceiptRefused as refused:
            self._stage.say(
                f"the receipt for {what}: refused at step {refused.step}"
                f" ({refused.reason.value}): {refused.message}",
                mood="rejected",
            )
            return refused.reason.value
        raise ForgeryAcceptedError("a receipt that proves nothing was accepted")

    async def _time_passes(self) -> bool:
        """The binding's own condition ends it; the relay says so too."""
        self._stage.act(f"{PASSING_MINUTES} minutes later")
        await self._alice.types("jit", "active")
        self._town.clock.pass_seconds(PASSING_MINUTES * _SECONDS_A_MINUTE)
        self._stage.say(f"… {PASSING_MINUTES} minutes pass …", mood="dim")
        has_role = self._has_role()
        self._stage.say(f"Alice has {ROLE}: {_yes(has_role)}", mood="rejected")
        await self._alice.types("jit", "active")
        return has_role


def _status(asked: Json) -> str:
    (role,) = cast("list[dict[str, str]]", asked["roles"])
    return role["status"]


def _yes(value: bool) -> str:  # noqa: FBT001 - the value is what is said
    return "yes" if value else "no"
