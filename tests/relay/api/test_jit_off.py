"""A relay without just-in-time access knows nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import NO_SUCH_ID, refused

from quorumkey_relay.api.jit_routes import JIT_ROUTES

if TYPE_CHECKING:
    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio

PATHS = sorted({(route.method, route.path) for route in JIT_ROUTES})


@pytest.mark.parametrize(("method", "path"), PATHS, ids=[" ".join(pair) for pair in PATHS])
async def test_every_path_is_unknown(house: House, method: str, path: str) -> None:
    """Nothing is at any of its addresses, whatever the method, and they are not told apart."""
    address = path.format(project="project-1", activation_id=NO_SUCH_ID)
    headers = house.bearer | {"X-JITACCESS": "1"}

    answers = [
        await house.http.request(verb, address, headers=headers) for verb in (method, "OPTIONS")
    ]

    for answer in answers:
        assert refused(answer)[:2] == (404, "not_found")


async def test_it_is_not_described(house: House) -> None:
    """The documents tell of what the relay serves alone."""
    document = (await house.http.get("/openapi.json")).json()

    assert not [path for path in document["paths"] if path.startswith(("/jit", "/v1/jit"))]
    assert "person" not in document["components"]["securitySchemes"]
