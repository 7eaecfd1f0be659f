"""The published vectors of the protocol kernel."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, cast

from tests.vectors.vector_files import Case, each, items, strings

from quorumkey.protocol import (
    Challenge,
    Decision,
    Enrollment,
    Execution,
    Form,
    Hidden,
    Kind,
    PasskeyPolicy,
    ProtectedCall,
    PublicKey,
    Push,
    Receipt,
    RequestDocument,
    RoleActivation,
    Session,
    Statement,
    Succession,
    Unpair,
    b64decode,
    b64encode,
    b64url_decode,
    b64url_encode,
    canonical_json,
    canonical_json_of,
    check_fingerprint,
    check_match_code,
    check_origin,
    check_text,
    check_uuid7,
    fingerprint_of,
    format_time,
    is_impossible,
    lost_groups,
    normalise_pairing_code,
    origin_of,
    pairing_binding,
    parse_envelope,
    parse_time,
    pictogram,
    request_binding,
    satisfied_groups,
    speakable,
    strict_json,
    verify_signature,
    webhook,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol import CallerKind, JsonValue

_STATEMENTS: dict[str, type[Statement]] = {
    statement.KIND.value: statement
    for statement in (
        RequestDocument,
        Challenge,
        Decision,
        Enrollment,
        Session,
        Push,
        Unpair,
        Succession,
        Receipt,
        Execution,
    )
}


@each("strict_json.json", required={"data"})
def test_strict_json(case: Case) -> None:
    """The strict reader accepts exactly the valid documents."""
    with case.outcome():
        strict_json.loads(case.data("data"), max_bytes=100_000)


@each("canonical.json", required={"data"}, optional={"canonical", "binding"})
def test_canonical_requests(case: Case) -> None:
    """A request has one spelling, also when read as a value, and that spelling's digest."""
    with case.outcome():
        canonical = canonical_json_of(case.data("data"), max_bytes=1_000)

        assert case.data("canonical") == canonical
        assert case.text("binding") == request_binding(canonical)
        assert canonical == canonical_json(strict_json.loads(canonical, max_bytes=1_000))


@each("protected_calls.json", required={"call", "condition", "action"})
def test_protected_calls(case: Case) -> None:
    """The action of a call is one text, which anybody can write again."""
    call = case.mapping("call")
    caller = cast("dict[str, str]", call["caller"])

    written = ProtectedCall(
        method=cast("str", call["method"]),
        caller_kind=cast("CallerKind", caller["kind"]),
        caller_id=caller["id"],
        caller_name=caller.get("name"),
        request=Hidden(cast("int", call["hidden_bytes"]))
        if "hidden_bytes" in call
        else call["request"],
        request_binding=cast("str", call["request_binding"]),
        resource=cast("dict[str, JsonValue] | None", call.get("resource")),
        resource_failed=call.get("resource_failed") is True,
    )

    assert case.mapping("action") == written.action(case.text("condition")).to_json()


@each("role_activations.json", required={"activation", "action"})
def test_role_activations(case: Case) -> None:
    """The action of an activation is one text, which anybody can write again."""
    activation = case.mapping("activation")
    texts = ("beneficiary", "project", "role", "condition", "justification")
    start = activation.get("start")

    written = RoleActivation(
        **{name: cast("str", activation[name]) for name in texts},
        duration_seconds=cast("int", activation["duration_seconds"]),
        start=None if start is None else cast("int", start),
    )

    assert case.mapping("action") == written.action().to_json()


def _base64_bytes(value: object) -> str:
    data = b64decode(value, field="x")

    assert b64encode(data) == value
    return b64encode(data)


def _base64url_bytes(value: object) -> str:
    data = b64url_decode(value, field="x")

    assert b64url_encode(data) == value
    return b64encode(data)


def _time(value: object) -> int:
    seconds = parse_time(value, field="x")

    assert format_time(seconds) == value
    return seconds


_READERS: dict[str, Callable[[object], object]] = {
    "base64": _base64_bytes,
    "base64url": _base64url_bytes,
    "time": _time,
    "text": lambda value: check_text(value, field="x", minimum=1, maximum=80),
    "uuid7": lambda value: check_uuid7(value, field="x"),
    "origin": lambda value: check_origin(value, field="x"),
    "address": lambda value: origin_of(cast("str", value)),
    "pairing_code": normalise_pairing_code,
    "match_code": check_match_code,
    "fingerprint": lambda value: check_fingerprint(value, field="x"),
}


@each("encodings.json", required={"encoding", "input"}, optional={"output"})
def test_encodings(case: Case) -> None:
    """Each encoding accepts exactly one spelling, or the listed ones."""
    read = _READERS[case.text("encoding")]
    with case.outcome():
        assert case.members.get("output") == read(case.members["input"])


@each("keys.json", required={"public_key"}, optional={"fingerprint"})
def test_keys(case: Case) -> None:
    """Only compressed points of P-256 are keys, and the fingerprint is their hash."""
    with case.outcome():
        key = PublicKey.from_base64(case.members["public_key"])

        assert (case.text("fingerprint"), case.text("public_key")) == (key.fingerprint, key.base64)
        assert case.text("fingerprint") == fingerprint_of(key.compressed)


@each("signatures.json", required={"public_key", "message", "signature"})
def test_signatures(case: Case) -> None:
    """Only a strict DER signature by this key over this message verifies."""
    key = PublicKey.from_base64(case.text("public_key"))
    with case.outcome():
        key.verify(case.data("signature"), case.data("message"))


@each("pictograms.json", required={"fingerprint"}, optional={"pictogram", "speakable"})
def test_pictograms(case: Case) -> None:
    """A pictogram is the first 30 bits as five emoji, and as their names."""
    with case.outcome():
        emoji = pictogram(case.text("fingerprint"))

        assert case.members["pictogram"] == [*emoji]
    with case.outcome():
        names = speakable(case.text("fingerprint"))

        assert case.members["speakable"] == names


@each("bindings.json", required={"secret", "relay", "public_key"}, optional={"binding"})
def test_bindings(case: Case) -> None:
    """A binding is the HMAC of label, relay and key under the pairing's secret."""
    with case.outcome():
        assert case.members.get("binding") == pairing_binding(
            case.data("secret"), case.text("relay"), case.data("public_key")
        )


def _verify(case: Case) -> None:
    passkeys = None
    if "passkeys" in case.members:
        configured = case.mapping("passkeys")
        passkeys = PasskeyPolicy(
            cast("str", configured["rp_id"]), frozenset(strings(configured["origins"]))
        )
    with case.outcome():
        envelope = parse_envelope(case.members["envelope"])
        sign_count = verify_signature(
            envelope,
            kind=Kind(case.text("kind")),
            key=PublicKey.from_base64(case.text("public_key")),
            form=cast("Form", case.text("form")),
            passkeys=passkeys,
        )

        assert case.data("payload") == envelope.payload
        assert case.members.get("sign_count") == sign_count
        assert case.members["envelope"] == envelope.to_json()
        assert envelope == parse_envelope(strict_json.loads(envelope.encode(), max_bytes=100_000))


@each("envelopes.json", required={"kind", "public_key", "form", "envelope"}, optional={"payload"})
def test_envelopes(case: Case) -> None:
    """A native envelope verifies for its type, key and form only."""
    _verify(case)


@each(
    "passkeys.json",
    required={"kind", "public_key", "form", "envelope"},
    optional={"payload", "passkeys", "sign_count"},
)
def test_passkeys(case: Case) -> None:
    """A passkey envelope verifies for its challenge, relying party and origin only."""
    _verify(case)


@each("statements.json", required={"kind", "payload"}, optional={"canonical"})
def test_statements(case: Case) -> None:
    """A payload is read exactly when it keeps every rule, and written again as it was."""
    kind = _STATEMENTS[case.text("kind")]
    payload = case.data("payload")
    with case.outcome():
        statement = kind.decode(payload)

        assert statement == kind.decode(statement.encode())
        assert case.members["canonical"] == (payload == statement.encode())


@each(
    "quorum.json",
    required={
        "required",
        "groups",
        "approvals",
        "out",
        "satisfied",
        "lost",
        "approved",
        "impossible",
    },
)
def test_quorum(case: Case) -> None:
    """Satisfied, lost and impossible follow from members, approvals and who is out."""
    groups = [strings(group) for group in items(case.members["groups"])]
    required, out = case.number("required"), set(case.texts("out"))

    satisfied = satisfied_groups(groups, case.texts("approvals"))

    assert case.members["satisfied"] == [*satisfied]
    assert case.members["lost"] == sorted(lost_groups(groups, satisfied, out))
    assert case.members["approved"] == (len(satisfied) >= required)
    assert case.members["impossible"] == is_impossible(
        required=required, groups=groups, satisfied=satisfied, out=out
    )


@each("webhooks.json", required={"secrets", "headers", "body", "now"})
def test_webhooks(case: Case) -> None:
    """A delivery verifies under a held secret, for its id, time and exact body."""
    headers = cast("dict[str, str]", case.mapping("headers"))
    with case.outcome():
        message_id = webhook.verify(
            case.texts("secrets"), headers, case.data("body"), now=case.number("now")
        )

        assert message_id in headers.values()


def test_base64_of_the_vectors_is_itself_strict() -> None:
    """The runner's own base64 reader, the standard library's, agrees on what is right."""
    assert base64.b64decode("YQ==", validate=True) == b64decode("YQ==", field="x")
