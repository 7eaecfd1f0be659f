"""What ``make demo-protected`` puts on the stage: the administrators' devices and the service."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from quorumkey.device import RequestArrived, SoftwareDevice
from quorumkey_relay.demo.process import RelayFailedError, ended, environment, first_line
from quorumkey_relay.demo.story import UnexpectedOutcomeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from quorumkey.client import AsyncClient, ConfirmedDevice
    from quorumkey.device import DeviceRequest
    from quorumkey.protection import Roster
    from quorumkey_relay.demo.process import Initialised, Serving
    from quorumkey_relay.demo.stage import Stage

#: Where ``examples.workshop`` is found.
_ROOT: Final = Path(__file__).parents[2]
_PATIENCE_SECONDS: Final = 20
_SHORT_CHARS: Final = 16


@dataclass(frozen=True, slots=True)
class Administrator:
    """An administrator and their device."""

    id: str
    device: SoftwareDevice
    confirmed: ConfirmedDevice

    async def told(self, request_id: str) -> DeviceRequest:
        """Return a request once the device is told of it."""
        async with (
            asyncio.timeout(_PATIENCE_SECONDS),
            aclosing(self.device.listen()) as events,
        ):
            async for event in events:
                if isinstance(event, RequestArrived) and event.request.request_id == request_id:
                    await self.device.acknowledge(request_id)
                    return event.request
        raise UnexpectedOutcomeError(f"{self.id}'s device was not told of {request_id}")


@asynccontextmanager
async def enrol(
    client: AsyncClient, stage: Stage, folder: Path, person: tuple[str, str]
) -> AsyncGenerator[Administrator]:
    """Pair a person's device through a link, and check that the key is the device's own."""
    identifier, name = person
    pairing = await client.pairings.create(identifier, name)
    async with SoftwareDevice(folder / "phones" / identifier) as device:
        enrolled = await device.enroll(pairing.url)
        confirmed = await client.pairings.confirm(pairing)
        pictogram = " ".join(device.identity.pictogram)
        stage.say(f"{name}: {enrolled.fingerprint[:_SHORT_CHARS]}… {pictogram}  paired")
        yield Administrator(identifier, device, confirmed)


@asynccontextmanager
async def served_workshop(  # noqa: PLR0913, PLR0917 - everything that the service is told
    stage: Stage,
    folder: Path,
    made: Initialised,
    serving: Serving,
    roster: Roster,
    callers: Mapping[str, tuple[str, str]],
) -> AsyncGenerator[str]:
    """Serve the example's gRPC variant as a process of its own; yield its address."""
    keys, tokens, log = (folder / name for name in ("roster.json", "callers.json", "workshop.log"))
    roster.save(keys)
    tokens.write_text(
        json.dumps(
            {
                token: {"kind": "person", "id": identifier, "name": name}
                for token, (identifier, name) in callers.items()
            }
        )
    )
    arguments = ("grpc", "--roster", str(keys), "--callers", str(tokens))
    stage.command(" ".join(("python -m examples.workshop", *arguments)))
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "examples.workshop", *arguments),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=file.fileno(),
            cwd=_ROOT,
            env=environment({"QUORUMKEY_URL": serving.url, "QUORUMKEY_API_KEY": made.api_key}),
        )
    async with ended(process):
        line = await first_line(process)
        if not line:
            said = log.read_text(errors="replace").splitlines()
            raise RelayFailedError(said[-1] if said else "the service did not start in time")
        address: str = json.loads(line)["address"]
        stage.say(f"{address} serves gRPC; its administrators' keys are pinned in {keys}")
        await stage.beat()
        yield address
