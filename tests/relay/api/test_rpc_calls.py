"""The Connect protocol of the governing service, byte by byte (connectrpc.com/docs/protocol)."""

from __future__ import annotations

import gzip
import hashlib
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.relay.api.harness import API_KEY, INTEGRATOR, NO_SUCH_ID, OTHER_INTEGRATOR, house
from tests.relay.simulator import START

from quorumkey.errors import ERRORS
from quorumkey_relay.api.rpc import CONNECT_CODES, refuse
from quorumkey_relay.api.rpc_routes import RPC_ROUTES
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.principals import ApiKey
from quorumkey_relay.store.writes import PutApiKey

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping
    from pathlib import Path

    import httpx2
    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio

ADMIN_KEY = "qk_test_" + "4d" * 32
SERVICE = "/quorumkey.mpa.v1.MultipartyApprovalService/"
GET_SETTINGS = SERVICE + "GetMultipartyApprovalSettings"
SET_SETTINGS = SERVICE + "SetMultipartyApprovalSettings"
JSON = "application/json"
#: connectrpc.com/docs/protocol, "Error codes": every code there is, with its HTTP status.
STATUSES = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}


@pytest.fixture(scope="module")
async def governed(house: House) -> House:
    """The relay, with an API key that governs."""
    key = ApiKey(
        key_id=NO_SUCH_ID,
        integrator_id=INTEGRATOR.id,
        scope="admin",
        name="governs",
        digest=hashlib.sha256(ADMIN_KEY.encode()).digest(),
        created_at=START,
    )
    await house.relay.store.commit((PutApiKey(key),))
    return house


async def post(
    house: House,
    path: str = GET_SETTINGS,
    body: bytes = b"{}",
    *,
    key: str | None = ADMIN_KEY,
    headers: Mapping[str, str] | None = None,
) -> httpx2.Response:
    """Call as a client that knows nothing of Connect would."""
    named = {"content-type": JSON, **(headers or {})}
    if key is not None:
        named["authorization"] = f"Bearer {key}"
    return await house.http.post(path, content=body, headers=named)


def error(answer: httpx2.Response) -> tuple[int, str, str]:
    """Status, code and message of an error, whose form is checked."""
    document = cast("dict[str, Any]", answer.json())
    assert document.keys() == {"code", "message"}
    assert document["message"].endswith((".", "add."))
    assert answer.headers["content-type"] == JSON
    assert answer.headers["x-request-id"]
    assert answer.headers["x-quorumkey-error"] in ERRORS
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, str(document["code"]), str(document["message"])


async def test_a_call(governed: House) -> None:
    """A bare POST of a JSON message answers one, in lowerCamelCase, not compressed."""
    answer = await post(governed, headers={"accept-encoding": "gzip"})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == JSON
    assert "content-encoding" not in answer.headers
    assert "x-mpa-txid" not in answer.headers
    assert answer.json()["settings"] == {
        "enabled": False,
        "required": 2,
        "maxDurationSeconds": 86400,
        "executionExpirySeconds": 86400,
        "excludeApiKeys": False,
        "countRequestor": True,
        "administrators": 0,
        "revision": 0,
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"connect-protocol-version": "1"},
        {"connect-timeout-ms": "1"},
        {"connect-timeout-ms": "9999999999"},
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": 'Application/JSON;charset="UTF-8"'},
        {"content-encoding": "identity"},
    ],
    ids=lambda headers: "-".join(next(iter(headers.items()))),
)
async def test_headers_that_change_nothing(governed: House, headers: dict[str, str]) -> None:
    """The protocol's headers may be there or not."""
    assert (await post(governed, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect-protocol-version", "2"),
        ("connect-protocol-version", ""),
        ("connect-timeout-ms", "12345678901"),
        ("connect-timeout-ms", "-1"),
        ("connect-timeout-ms", "1s"),
        ("connect-timeout-ms", ""),
    ],
)
async def test_headers_that_are_wrong(governed: House, name: str, value: str) -> None:
    """Another version of the protocol, and a timeout that is no number, are refused."""
    assert error(await post(governed, headers={name: value}))[:2] == (400, "invalid_argument")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/proto",
        "application/connect+json",
        "application/grpc",
        "application/grpc-web+json",
        "text/plain",
        "application/json; charset=latin-1",
        "",
    ],
)
async def test_other_codecs(governed: House, content_type: str) -> None:
    """Everything but JSON is 415, and the answer says what there is."""
    answer = await post(governed, headers={"content-type": content_type})

    assert error(answer)[:2] == (415, "unimplemented")
    assert answer.headers["accept-post"] == JSON


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x-gzip"])
async def test_other_encodings(governed: House, encoding: str) -> None:
    """Everything but gzip and identity is refused, and the answer says what there is."""
    answer = await post(governed, headers={"content-encoding": encoding})

    assert error(answer)[:2] == (415, "unimplemented")
    assert answer.headers["accept-encoding"] == "gzip, identity"


@pytest.mark.parametrize("encoding", ["gzip", "GZip"])
async def test_gzip(governed: House, encoding: str) -> None:
    """A compressed message is inflated."""
    answer = await post(governed, body=gzip.compress(b"{}"), headers={"content-encoding": encoding})

    assert answer.status_code == 200


@pytest.mark.parametrize("body", [b"{}", gzip.compress(b"{}")[:-1]], ids=["plain", "cut"])
async def test_what_is_not_gzip(governed: House, body: bytes) -> None:
    """What says that it is gzip and is not is refused."""
    answer = await post(governed, body=body, headers={"content-encoding": "gzip"})

    assert error(answer)[:2] == (400, "invalid_argument")


async def test_a_bomb(governed: House) -> None:
    """16 KiB that would inflate to 16 MiB are refused as too large."""
    bomb = gzip.compress(bytes(16 * 1024 * 1024))
    answer = await post(governed, body=bomb, headers={"content-encoding": "gzip"})

    assert len(bomb) < 65_536
    assert error(answer) == (
        429,
        "resource_exhausted",
        "The message may have at most 65536 bytes, inflated.",
    )
    assert answer.headers["x-quorumkey-error"] == "payload_too_large"
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_body_that_is_too_large(governed: House, encoding: str) -> None:
    """More bytes than allowed are not read, compressed or not."""
    answer = await post(governed, body=b" " * 65_537, headers={"content-encoding": encoding})

    assert error(answer)[:2] == (429, "resource_exhausted")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'{"enabled": 1}', b'{"enabledd": true}', b'{"required": 2.0}'],
    ids=str,
)
async def test_messages_that_are_none(governed: House, body: bytes) -> None:
    """What is not the method's message is an invalid argument; unknown fields are not dropped."""
    answer = await post(governed, SET_SETTINGS, body)

    assert error(answer)[:2] == (400, "invalid_argument")


@pytest.mark.parametrize("name", ["", "NoSuchMethod", "GetMultipartyApprovalSettings/", "a/b"])
async def test_unknown_methods(governed: House, name: str) -> None:
    """A method that the service does not have is 404, which Connect calls unimplemented."""
    answer = await post(governed, SERVICE + name)

    assert error(answer)[:2] == (404, "unimplemented")


async def test_other_services(governed: House) -> None:
    """A service that is not there is an unknown address, like any other."""
    answer = await post(governed, "/quorumkey.mpa.v1.OtherService/GetMultipartyApprovalSettings")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_other_http_methods(governed: House, method: str) -> None:
    """Only POST is answered; no method is free of side effects in the sense of Connect."""
    answer = await governed.http.request(method, GET_SETTINGS)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "OPTIONS, POST"
    assert answer.headers["x-quorumkey-error"] == "method_not_allowed"


async def test_queries(governed: House) -> None:
    """A query is not part of a call."""
    answer = await post(governed, GET_SETTINGS + "?message=%7B%7D&encoding=json")

    assert error(answer)[:2] == (400, "invalid_argument")


@pytest.mark.parametrize("key", [None, "qk_test_" + "00" * 32, "none"])
async def test_unknown_callers(governed: House, key: str | None) -> None:
    """Who is not known is unauthenticated, and told how to say who they are."""
    answer = await post(governed, key=key)

    assert error(answer)[:2] == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="quorumkey"'


async def test_keys_of_the_other_scope(governed: House) -> None:
    """An API key of scope integrator is told which one governs."""
    status, code, message = error(await post(governed, key=API_KEY))

    assert (status, code) == (403, "permission_denied")
    assert "scope admin" in message


@pytest.mark.parametrize(
    ("named", "status"), [(INTEGRATOR.id, 200), (OTHER_INTEGRATOR.id, 403), ("", 403)]
)
async def test_naming_an_integrator(governed: House, named: str, status: int) -> None:
    """An API key may name its own integrator, and no other."""
    answer = await post(governed, headers={"x-quorumkey-integrator": named})

    assert answer.status_code == status


def test_every_code_has_its_place() -> None:
    """Each of the relay's codes is one of Connect's, under the status that it has there."""
    seen = {code: refuse(Refusal(code, "No.")) for code in ERRORS}

    assert CONNECT_CODES.keys() == ERRORS.keys()
    for code, answer in seen.items():
        kept = code in {"method_not_allowed", "unsupported_media_type"}
        expected = ERRORS[code].status if kept else STATUSES[CONNECT_CODES[code]]
        assert (code, answer.status) == (code, expected)
        assert (b"x-quorumkey-error", code.encode()) in answer.headers


def test_a_refusal_keeps_the_relays_own_code() -> None:
    """What counts as a failed try at a secret still does (PROTOCOL §11)."""
    assert refuse(Refusal("invalid_signature", "No.")).code == "invalid_signature"


def test_gated_calls_carry_their_transaction() -> None:
    """A refusal that names a transaction has it in a header, and others have none."""
    gated = dict(refuse(Refusal("approval_required", "Wait.", {"txid": NO_SUCH_ID})).headers)

    assert gated[b"x-mpa-txid"] == NO_SUCH_ID.encode()
    assert b"x-mpa-txid" not in dict(refuse(Refusal("not_found", "No.")).headers)


async def test_nothing_makes_it_fail(governed: House) -> None:
    """Whatever bytes come, compressed or not, by any method: an answer, and never a failure."""
    chance = Random(20_261_121)  # noqa: S311 - the same calls every time
    bodies = [
        b"{}",
        b'{"enabled":true,"required":3}',
        b'{"method":"CreateRule","condition":"request.tag == \\"global\\""}',
        b'{"keyId":"0190a000-0000-7000-8000-00000000beef","revoke":true}',
        b'{"txid":"x","decision":"approve","envelope":{"signatures":[{"webauthn":{}}]}}',
    ]
    statuses: set[int] = set()
    for _ in range(400):
        body = bytearray(chance.choice(bodies))
        for _ in range(chance.randrange(4)):
            body[chance.randrange(len(body))] = chance.choice(b'{}[]",:0-1eEtn\\ \xff')
        sent, headers = bytes(body), {"content-encoding": "identity"}
        if chance.random() < 0.3:
            sent, headers = gzip.compress(sent), {"content-encoding": "gzip"}
        route = chance.choice(RPC_ROUTES)
        answer = await post(governed, route.path, sent, headers=headers)
        statuses.add(answer.status_code)

    assert statuses <= {200, 400, 403, 404}
    assert {200, 400} <= statuses


async def test_limits(tmp_path: Path) -> None:
    """Calls are charged to their API key; too many are told when to come again."""
    async with house(tmp_path, rate_api_key=1) as running:
        first = await post(running, key=API_KEY)
        second = await post(running, key=API_KEY)

    assert first.status_code == 403
    assert error(second)[:2] == (429, "resource_exhausted")
    assert second.headers["retry-after"] == "60"


async def test_limits_of_failures(tmp_path: Path) -> None:
    """Unknown tokens are counted against their address."""
    async with house(tmp_path, rate_ip_failures=1) as running:
        answers = [await post(running, key="none") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [401, 429]


async def test_it_is_counted_and_logged(governed: House, log: io.BytesIO) -> None:
    """A call is counted under its path, and its line in the log has the id of its answer."""
    answer = await post(governed)
    counted = (await governed.http.get("/metrics")).text

    assert f'route="{GET_SETTINGS}"' in counted
    assert answer.headers["x-request-id"] in log.getvalue().decode()
    assert ADMIN_KEY not in log.getvalue().decode()
