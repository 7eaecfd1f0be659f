"""Random calls, bodies and statements never get a 5xx nor an answer of another shape (§9)."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.e2e.protocol_calls import CALLS
from tests.e2e.protocol_client import refused, request_body
from tests.e2e.protocol_crypto import Json, compact
from tests.e2e.protocol_statements import KINDS
from tests.e2e.protocol_stream import greeted

if TYPE_CHECKING:
    import httpx2
    from tests.e2e.protocol_client import Device
    from tests.e2e.protocol_statements import Statement
    from tests.e2e.protocol_world import World

#: Some seconds on one core for all of them; the same examples every time.
BOUNDED = settings(
    max_examples=800,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FEW = settings(BOUNDED, max_examples=150)

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", "\ud800", "0" * 64, "A" * 44, "\u202e", "sha256:" + "0" * 64]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
HEADERS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=60).filter(
    lambda text: "\x7f" not in text
)
QUERIES = st.dictionaries(
    st.sampled_from(["limit", "cursor", "status", "approver_id", "x", "%00"]),
    st.one_of(st.text(max_size=40), st.integers().map(str)),
    max_size=3,
)


def sound(answer: httpx2.Response) -> None:
    """No 5xx, and the exact shape of a refusal where it is one."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["x-request-id"]
    if answer.status_code >= 400:
        refused(answer)


def paths_in(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a document but its root."""
    found: list[tuple[Any, ...]] = []
    if isinstance(value, dict):
        members = cast("Json", value)
        for name in sorted(members):
            found += [(*path, name), *paths_in(members[name], (*path, name))]
    elif isinstance(value, list):
        items = cast("list[object]", value)
        for index, item in enumerate(items):
            found += [(*path, index), *paths_in(item, (*path, index))]
    return found


def spoilt(document: Json, data: st.DataObject) -> Json:
    """The document with one to three values replaced, left out or added."""
    changed: Any = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        paths = paths_in(changed)
        if not paths:
            break
        path = paths[data.draw(st.integers(0, len(paths) - 1))]
        holder = changed
        for name in path[:-1]:
            holder = holder[name]
        action = data.draw(st.sampled_from(["replace", "leave out", "add"]))
        if action == "replace":
            holder[path[-1]] = data.draw(VALUES)
        elif action == "leave out":
            del holder[path[-1]]
        elif isinstance(holder, dict):
            holder[data.draw(st.text(max_size=8))] = data.draw(VALUES)
        else:
            holder.append(data.draw(VALUES))
    return cast("Json", changed)


def encoded(value: object) -> bytes:
    """A value as JSON bytes: NaN as Python writes it, lone surrogates escaped."""
    try:
        return compact(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


@pytest.fixture(scope="module")
def device(world: World) -> Device:
    """A device that is named in the requests of these tests."""
    return world.acme.device("fuzzed")


@BOUNDED
@given(data=st.data())
def test_any_call(world: World, device: Device, data: st.DataObject) -> None:
    """Any method, path, query, header and body gets an answer of the page."""
    method, path, _ = data.draw(st.sampled_from(CALLS))
    if data.draw(st.booleans()):
        path += "/" + quote(data.draw(st.text(max_size=12)), safe="")
    if method == "GET" and path == "/v1/events":
        path += "?x"
    headers: dict[str, str] = {}
    authorization = data.draw(
        st.one_of(st.just(world.acme.bearer["Authorization"]), HEADERS, st.none())
    )
    if authorization is not None:
        headers["Authorization"] = authorization
    if data.draw(st.booleans()):
        headers["Content-Type"] = data.draw(st.one_of(st.just("application/json"), HEADERS))
    if data.draw(st.booleans()):
        headers["Idempotency-Key"] = data.draw(HEADERS)
    content = data.draw(st.one_of(st.binary(max_size=60), VALUES.map(encoded)))

    answer = device.relay.http.request(
        method,
        path,
        params=data.draw(QUERIES) or None,
        content=content,
        headers=[(name.encode(), text.encode("latin-1")) for name, text in headers.items()],
    )

    sound(answer)


@BOUNDED
@given(data=st.data())
def test_spoilt_requests(world: World, device: Device, data: st.DataObject) -> None:
    """A request body with some values changed is created or refused, never a 5xx."""
    action: Json = {
        "type": "cold_boot",
        "description": "Cold boot",
        "params": {"a": [1, "b"]},
        "bindings": {"plan": "sha256:" + "0a" * 32},
    }
    body = request_body([device], action=action) | {
        "expires_in_seconds": 60,
        "use_within_seconds": 1,
        "reject_policy": "any",
        "distinct": "person",
        "min_assurance": "none",
        "requester": {"id": "someone", "name": "Someone"},
        "match_code": "1234",
    }

    sound(world.acme.raw("/v1/requests", encoded(spoilt(body, data))))


@FEW
@given(data=st.data())
def test_spoilt_pairings(world: World, data: st.DataObject) -> None:
    """A pairing body with some values changed is created or refused, never a 5xx."""
    body = {"approver": {"id": "someone", "name": "Someone"}, "expires_in_seconds": 60}

    sound(world.acme.raw("/v1/pairings", encoded(spoilt(body, data))))


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(data=st.data())
def test_spoilt_payloads(statements: dict[str, Statement], kind: str, data: st.DataObject) -> None:
    """A well-signed payload with some values changed is refused or harmless, never a 5xx."""
    statement = statements[kind]
    payload = spoilt(statement.payload() | {"v": 1, "extensions": {"x": 1}}, data)

    answer = statement.send(statement.key.seal(kind, encoded(payload)))

    sound(answer)
    if answer.status_code < 400:
        statements[kind] = type(statement)(statement.integrator)


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(data=st.data())
def test_spoilt_envelopes(statements: dict[str, Statement], kind: str, data: st.DataObject) -> None:
    """An envelope with some values changed is refused, never a 5xx, and does not count."""
    statement = statements[kind]
    never_accepted = statement.payload() | {"v": 2}
    envelope = statement.key.seal(kind, never_accepted)
    body = encoded({"envelope": spoilt(envelope, data)})
    http = statement.device.relay.http
    headers = {"Content-Type": "application/json"}

    answer = http.request(statement.method, statement.path, content=body, headers=headers)

    sound(answer)
    assert answer.status_code >= 400


@pytest.fixture(scope="module")
def idle(world: World) -> Device:
    """A device that no request names, so that nothing but answers comes over its socket."""
    return world.acme.device("idle")


@FEW
@given(data=st.data())
def test_any_frame(idle: Device, data: st.DataObject) -> None:
    """Any frame, before or after ``ready``, closes the socket with a code of the page, or 1007."""
    with greeted(idle) as stream:
        auth = stream.auth()
        if data.draw(st.booleans()):
            stream.opened()
        frame = data.draw(st.one_of(st.binary(max_size=40), TEXTS, st.just(auth), VALUES))
        content = frame if isinstance(frame, bytes) else written(frame, auth, data)
        stream.socket.send(content, text=data.draw(st.booleans()))

        assert stream.code() in {4400, 4401, 1007}


def written(frame: object, auth: Json, data: st.DataObject) -> bytes:
    """A frame's bytes: text as it is, a spoilt ``auth``, or any value as JSON."""
    if isinstance(frame, str):
        return frame.encode(errors="surrogatepass")
    return encoded(spoilt(auth, data) if frame == auth else frame)
