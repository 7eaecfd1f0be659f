"""The circuit of a lane: what opens it, what it lets through, and what closes it."""

from __future__ import annotations

import pytest

from quorumkey_relay.delivery.circuit import (
    MAX_OUTAGE_PROBE_SECONDS,
    MISCONFIGURED_PROBE_SECONDS,
    OUTAGE_FAILURES,
    VERDICT_SECONDS,
    Circuit,
)


def broken() -> Circuit:
    """A circuit that was opened by a refused credential at 0."""
    circuit = Circuit()
    circuit.misconfigured("InvalidProviderToken", 0.0)
    return circuit


def cut_off() -> Circuit:
    """A circuit that was opened by an outage at 0."""
    circuit = Circuit()
    for _ in range(OUTAGE_FAILURES):
        circuit.unreachable("timeout", 0.0)
    return circuit


def test_a_closed_circuit_admits_everything() -> None:
    """Any number at once."""
    circuit = Circuit()

    assert [True] * 3 == [circuit.admits(0.0) for _ in range(3)]


def test_a_refused_credential_opens_it_at_once() -> None:
    """One refusal is enough, and its reason is kept."""
    circuit = broken()

    assert ("misconfigured", "InvalidProviderToken", False) == (
        circuit.fault,
        circuit.reason,
        circuit.admits(MISCONFIGURED_PROBE_SECONDS - 1),
    )


def test_one_probe_at_a_time_is_admitted() -> None:
    """When its time has come, and no second one while it is under way."""
    circuit = broken()

    assert [True, False] == [circuit.admits(MISCONFIGURED_PROBE_SECONDS) for _ in range(2)]


def test_an_acceptance_closes_it() -> None:
    """Whatever had opened it."""
    for circuit in (broken(), cut_off()):
        circuit.accepted()

        assert Circuit() == circuit


def test_a_probe_that_is_refused_again_waits_again() -> None:
    """The next probe is as far away as the first was."""
    circuit = broken()
    circuit.admits(30.0)
    circuit.misconfigured("Forbidden", 31.0)

    assert [False, True] == [circuit.admits(60.0), circuit.admits(61.0)]


def test_a_probe_that_was_not_sent_is_taken_back() -> None:
    """What is of no use any more decides nothing: the next message is the probe."""
    circuit = broken()
    circuit.admits(30.0)
    circuit.unused()

    assert circuit.admits(30.0)


def test_a_dead_address_says_nothing_of_credentials() -> None:
    """The circuit stays open, and the next message probes at once."""
    circuit = broken()
    circuit.admits(30.0)
    circuit.refused(30.0)

    assert ("misconfigured", True) == (circuit.fault, circuit.admits(30.0))


@pytest.mark.parametrize("what", ["busy", "unreachable"])
def test_a_probe_without_a_verdict_waits_again(what: str) -> None:
    """A provider that is busy or away says nothing of credentials."""
    circuit = broken()
    circuit.admits(30.0)
    if what == "busy":
        circuit.busy(30.0)
    else:
        circuit.unreachable("timeout", 30.0)

    assert ("misconfigured", False, True) == (
        circuit.fault,
        circuit.admits(59.0),
        circuit.admits(60.0),
    )


def test_an_outage_is_so_many_failures_in_a_row() -> None:
    """One answer in between, of whatever kind, starts the count anew."""
    circuit = Circuit()
    for _ in range(OUTAGE_FAILURES - 1):
        circuit.unreachable("timeout", 0.0)
    circuit.busy(0.0)
    for _ in range(OUTAGE_FAILURES - 1):
        circuit.unreachable("timeout", 0.0)
    closed = circuit.fault
    circuit.unreachable("timeout", 0.0)

    assert (None, "outage", "timeout") == (closed, circuit.fault, circuit.reason)


def test_probes_of_an_outage_come_soon_and_then_slower() -> None:
    """After 1, 2 and 4 seconds, and then every 5."""
    circuit, now, waits = cut_off(), 0.0, list[float]()
    for _ in range(5):
        begun = now
        while not circuit.admits(now):
            now += 1.0
        waits.append(now - begun)
        circuit.unreachable("timeout", now)

    assert [1.0, 2.0, 4.0, MAX_OUTAGE_PROBE_SECONDS, MAX_OUTAGE_PROBE_SECONDS] == waits


def test_late_failures_do_not_slow_the_probes_down() -> None:
    """What was in flight when it opened is no probe."""
    circuit = cut_off()
    for _ in range(100):
        circuit.unreachable("timeout", 0.0)

    assert circuit.admits(1.0)


@pytest.mark.parametrize("answer", ["refused", "busy"])
def test_any_answer_ends_an_outage(answer: str) -> None:
    """Who answers is not away."""
    circuit = cut_off()
    circuit.admits(1.0)
    getattr(circuit, answer)(1.0)

    assert Circuit() == circuit


def test_what_is_held_back_is_told_when_to_come_again() -> None:
    """At the next probe, in whole seconds, and never at once."""
    circuit = broken()

    assert [30, 30, 1, 1] == [circuit.wait_seconds(now) for now in (0.0, 0.5, 29.5, 40.0)]


def test_what_is_held_back_during_a_probe_waits_for_its_verdict() -> None:
    """Shortly, so that what an outage has held back is not late once it is over."""
    refused, away = broken(), cut_off()
    refused.admits(30.0)
    for now in (1.0, 3.0, 7.0):
        away.admits(now)
        away.unreachable("timeout", now)
    away.admits(12.0)

    assert (VERDICT_SECONDS, VERDICT_SECONDS) == (
        refused.wait_seconds(30.0),
        away.wait_seconds(12.0),
    )
