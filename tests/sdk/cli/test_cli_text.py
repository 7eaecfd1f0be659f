from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import typer
from tests.sdk.relay_double import Phone, RelayDouble

from quorumkey.cli import _output
from quorumkey.cli._output import Output, say_error
from quorumkey.cli._request_text import request_json, show_request
from quorumkey.client import Status
from quorumkey.device import Choice, DeviceRequest
from quorumkey.protocol import Action, Party

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue

RELAY = RelayDouble()
ALICE, BOB = Phone("alice"), Phone("bob")


def request(**change: object) -> DeviceRequest:
    """A request as a device shows it, with something else in its document."""
    stored = RELAY.ask(ALICE, BOB, change=change)
    return DeviceRequest(
        request_id=stored.document.request_id,
        status=Status.PENDING,
        groups_satisfied_count=1,
        my_decision=None,
        seconds_left=299,
        problem=None,
        digest=stored.digest,
        document=stored.document,
        group="Alice",
    )


def shown(value: DeviceRequest, capsys: pytest.CaptureFixture[str]) -> str:
    """What a person sees."""
    show_request(Output(as_json=False), value)
    return capsys.readouterr().out


def test_everything_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees who asks for what, every parameter, the group, the quorum and the time left."""
    action = Action(
        "cold_boot",
        "Cold boot engine ENG-001",
        {"engine_id": "ENG-001", "attempts": 3, "steps": [{"dry": True}]},
        {"plan": "sha256:" + "0" * 64},
    )
    value = request(action=action, requester=Party("dana", "Dana"))

    assert [
        f"Request     {value.request_id}",
        "Status      pending",
        "From        Acme Corp (acme)",
        "Wanted by   Dana (dana)",
        "Action      Cold boot engine ENG-001",
        "Type        cold_boot",
        'Parameters  engine_id: "ENG-001"',
        "            attempts: 3",
        "            steps: [",
        "              {",
        '                "dry": true',
        "              }",
        "            ]",
        f"Bindings    plan: sha256:{'0' * 64}",
        "Your group  Alice",
        "Quorum      1 of 2 required; groups: Alice, Bob",
        "Denial      the first denial rejects it",
        "Asked       2026-04-24T10:35:42Z",
        "Time left   4 min 59 s",
    ] == shown(value, capsys).splitlines()


def test_nothing_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Text from elsewhere is shown as it is: no markup, no emoji codes, no control sequences."""
    action = Action("x", "[bold]Boot[/bold] :skull: [link=https://evil]", {"a": "\u00ad[red]"})
    out = shown(request(action=action), capsys)

    assert "Action      [bold]Boot[/bold] :skull: [link=https://evil]\n" in out
    assert 'a: "⟨U+00AD⟩[red]"' in out
    assert "\x1b" not in out


def test_long_text_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A long line is one line, whatever the terminal's width."""
    text = "x" * 2000

    assert f'a: "{text}"\n' in shown(request(action=Action("x", "X", {"a": text})), capsys)


def test_a_match_code_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    """A request that asks for the match code says so."""
    base = request()
    assert base.document is not None
    policy = replace(base.document.policy, match_code=True, reject_policy="quorum_impossible")
    out = shown(request(policy=policy), capsys)

    assert "Match code  needed to approve: --code\n" in out
    assert "too few groups" in out


def test_a_problem_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A request with a failed check says what is wrong and whether it can be denied."""
    problem = replace(request(), problem="It is forged.", group=None)
    forged = replace(problem, digest=None, document=None, seconds_left=0)

    assert "Do not approve: It is forged. It can be denied.\n" in shown(problem, capsys)
    assert "Do not approve: It is forged. It cannot be answered.\n" in shown(forged, capsys)


def test_what_was_decided_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A request that this device answered says how."""
    value = replace(request(), my_decision=Choice.DENY, seconds_left=5)

    assert "Status      pending; you decided: deny\n" in shown(value, capsys)


def test_a_request_for_programs() -> None:
    """The JSON of a request has the whole document and what may be done."""
    full = request_json(
        replace(request(requester=Party("dana")), my_decision=Choice.DENY, problem="No.")
    )
    bare = request_json(replace(request(), document=None, group=None, digest=None))
    assert isinstance(full, dict)
    assert isinstance(bare, dict)

    assert {
        "request_id",
        "status",
        "groups_satisfied_count",
        "can_approve",
        "can_deny",
        "seconds_left",
    } == bare.keys()
    assert {
        "my_decision",
        "problem",
        "request_digest",
        "group",
        "integrator",
        "requester",
        "action",
        "policy",
        "created_at",
        "expires_at",
    } == full.keys() - bare.keys()


@pytest.mark.parametrize("value", ["\x9b31m", "\u202e", "é"])
def test_json_is_ascii(value: JsonValue, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON on standard output is ASCII, so a terminal obeys none of it."""
    Output(as_json=True).json(value)

    assert capsys.readouterr().out.isascii()


def test_json_and_text_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json no text is printed, without it no JSON; notes go to standard error."""
    for as_json in (True, False):
        out = Output(as_json=as_json)
        out.json({"a": 1})
        out.line("text")
        out.note("note")
    seen = capsys.readouterr()

    assert '{"a": 1}\ntext\n' == seen.out
    assert "note\nnote\n" == seen.err


def test_an_error_is_one_visible_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of several lines, or with a control sequence in it, is one harmless line."""
    say_error("It is\n broken: \x1b[31m[bold]")

    assert "quorumkey: It is broken: ⟨U+001B⟩[31m[bold]\n" == capsys.readouterr().err


def test_no_answer_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that nobody answers is answered with no."""

    def nobody(*_arguments: object, **_options: object) -> bool:
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", nobody)

    assert not _output.confirm("Really?")
