"""B27: of a ceremony in two steps, the first waits and the second never does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.api.harness import ok

if TYPE_CHECKING:
    from tests.relay.protection.rpc_office import Office

pytestmark = pytest.mark.anyio

CATALOGUE = {
    "service": "passkeys",
    "methods": [
        {"name": "BeginPasskeyRegistration", "kind": "default"},
        {"name": "FinishPasskeyRegistration", "kind": "ineligible"},
    ],
}


async def check(office: Office, method: str) -> dict[str, Any]:
    """What a service is told about alice's call of a method."""
    body: dict[str, object] = {
        "method": method,
        "caller": {"kind": "person", "id": "alice"},
        "request": {"json": {}},
        "claim_key": f"claim-key-of-{method}",
    }
    return ok(await office.house.post("/v1/protection/check", body))


@pytest.fixture
async def passkeys(office: Office) -> Office:
    """A service with such a ceremony, protected."""
    ok(
        await office.house.http.put(
            "/v1/protection/catalogue", json=CATALOGUE, headers=office.house.bearer
        )
    )
    await office.enable()
    return office


async def test_b27_the_first_step_waits(passkeys: Office) -> None:
    """Beginning waits for others."""
    assert (await check(passkeys, "BeginPasskeyRegistration"))["verdict"] == "wait"


async def test_b27_the_second_step_does_not(passkeys: Office) -> None:
    """Finishing never waits."""
    verdict = await check(passkeys, "FinishPasskeyRegistration")

    assert (verdict["verdict"], verdict["reason"]) == ("proceed", "unprotected")


async def test_b27_the_second_step_cannot_be_protected(passkeys: Office) -> None:
    """Nobody can have finishing wait."""
    refused = await passkeys.refused(
        "AddMPAProtectedMethod", {"method": "FinishPasskeyRegistration"}
    )

    assert (refused.code, refused.txid) == ("invalid_argument", None)
