"""Rules about protections: what is refused, and what becomes of the rest."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from quorumkey.protocol import limits
from quorumkey_relay.domain import protection_rules as rules
from quorumkey_relay.domain.protection import (
    GOVERNING_METHODS,
    MAX_METHODS,
    Method,
    Protection,
    ProtectionSettings,
)
from quorumkey_relay.domain.refusal import Refusal

GLOBAL = 'request.rule.tag == "global"'
SERVICE = "workshop"


def check(condition: str) -> str | None:
    """What conditions are checked with: one with a ``!`` cannot be used."""
    return "it does not parse." if "!" in condition else None


def granted(answer: Protection | Refusal) -> Protection:
    """The protection; it must not be refused."""
    assert isinstance(answer, Protection), answer
    return answer


def code(answer: Protection | Refusal) -> str:
    """Why it is refused."""
    assert isinstance(answer, Refusal), answer
    return answer.code


def method(
    name: str,
    kind: str = "eligible",
    *,
    permission: str = "write",
    condition: str = "",
    service: str = SERVICE,
) -> Method:
    """A method as a service declares it."""
    return Method(
        name=name,
        kind=kind,  # type: ignore[arg-type] # the kinds are written out by the callers
        permission=permission,  # type: ignore[arg-type] # likewise
        default_condition=condition,
        service=service,
    )


CATALOGUE = (
    method("Erase", "always"),
    method("Kill", "default"),
    method("CreateRule", "default", condition=GLOBAL),
    method("Rename"),
    method("Ping", "ineligible"),
    method("Look", permission="read"),
)


def registered(*methods: Method, before: Protection | None = None) -> Protection:
    """A protection with a catalogue."""
    before = before or Protection(integrator_id="acme")
    return granted(rules.register(before, SERVICE, methods or CATALOGUE, check))


def enabled(protection: Protection) -> Protection:
    """A protection that is on, with two administrators."""
    for name in ("alice", "bob"):
        protection = granted(rules.add_administrator(protection, name))
    return granted(rules.set_settings(protection, able=2, enabled=True))


def listing(protection: Protection) -> dict[str, tuple[str, bool, str, str | None, bool]]:
    """How each method of the services is listed."""
    return {
        one.method.name: (one.method.kind, one.protected, one.condition, one.mark, one.drifted)
        for one in rules.listed(protection)
        if one.method.name not in GOVERNING_METHODS
    }


# Settings


@pytest.mark.parametrize("required", [-1, 0, 1, 201])
def test_at_least_two_approvers(required: int) -> None:
    """Fewer than two, or more than a request has room for, are refused (B3)."""
    answer = rules.set_settings(Protection(integrator_id="acme"), able=500, required=required)

    assert "invalid_request" == code(answer)


@pytest.mark.parametrize("name", ["max_duration_seconds", "execution_expiry_seconds"])
@pytest.mark.parametrize("seconds", [0, 59, 86_401])
def test_durations_have_bounds(name: str, seconds: int) -> None:
    """Each is from a minute to a day, and the message names it."""
    answer = rules.set_settings(
        Protection(integrator_id="acme"),
        able=2,
        **{name: seconds},  # type: ignore[arg-type] # one of the two durations
    )

    assert isinstance(answer, Refusal)
    assert name in answer.message


@pytest.mark.parametrize("seconds", [60, 86_400])
def test_durations_at_their_bounds(seconds: int) -> None:
    """Both ends are allowed."""
    after = granted(
        rules.set_settings(
            Protection(integrator_id="acme"),
            able=0,
            max_duration_seconds=seconds,
            execution_expiry_seconds=seconds,
        )
    )

    assert (seconds, seconds) == (
        after.settings.max_duration_seconds,
        after.settings.execution_expiry_seconds,
    )


@pytest.mark.parametrize("able", [0, 1])
def test_enabling_needs_enough_administrators(able: int) -> None:
    """As many who can approve as are required (B4)."""
    answer = rules.set_settings(Protection(integrator_id="acme"), able=able, enabled=True)

    assert "failed_precondition" == code(answer)


@pytest.mark.parametrize("on", [False, True])
def test_raising_required_needs_enough_administrators(on: bool) -> None:  # noqa: FBT001 - a case
    """Whether protection is on or off (B4)."""
    before = Protection(integrator_id="acme", settings=ProtectionSettings(enabled=on))

    assert ("failed_precondition", 3) == (
        code(rules.set_settings(before, able=2, required=3)),
        granted(rules.set_settings(before, able=3, required=3)).settings.required,
    )


def test_lowering_required_needs_nobody() -> None:
    """That is how an operator who is short of administrators gets on."""
    settings = ProtectionSettings(enabled=True, required=3)
    before = Protection(integrator_id="acme", settings=settings)
    after = granted(rules.set_settings(before, able=1, required=2))

    assert 2 == after.settings.required


def test_without_the_requester_one_more_is_needed() -> None:
    """Where who asks is not counted, the others alone have to be enough (B32)."""
    before = Protection(integrator_id="acme")
    answer = rules.set_settings(before, able=2, enabled=True, count_requestor=False)

    assert "failed_precondition" == code(answer)


def test_not_counting_the_requester_is_refused_while_on() -> None:
    """If that would lock everybody out."""
    before = enabled(registered())

    assert "failed_precondition" == code(rules.set_settings(before, able=2, count_requestor=False))


def test_other_settings_change_whoever_is_left() -> None:
    """What asks for no more approvers does not depend on their number."""
    before = enabled(registered())
    after = granted(rules.set_settings(before, able=0, exclude_api_keys=True))

    assert (True, before.revision + 1) == (after.settings.exclude_api_keys, after.revision)


def test_nothing_to_change_is_no_change() -> None:
    """The value comes back as it was, with its revision."""
    before = enabled(registered())

    assert before is rules.set_settings(before, able=2, enabled=True, required=2)


def test_disabling_keeps_everything_else() -> None:
    """Only ``enabled`` changes (B25)."""
    before = enabled(registered())
    before = granted(rules.set_settings(before, able=3, required=3, exclude_api_keys=True))
    after = rules.disable(before)

    assert (replace(before.settings, enabled=False), before.protected, before.administrators) == (
        after.settings,
        after.protected,
        after.administrators,
    )


# Adding and removing methods


def test_a_method_is_protected() -> None:
    """Under its condition; without one, for every call (B18)."""
    before = registered()
    conditional = granted(rules.add_method(before, "Rename", GLOBAL, check))
    always = granted(rules.add_method(before, "Rename", "", check))

    assert (GLOBAL, "") == (conditional.condition("Rename"), always.condition("Rename"))


def test_adding_again_changes_the_condition() -> None:
    """Of a default too (B21)."""
    after = granted(rules.add_method(registered(), "CreateRule", "true", check))

    assert "true" == after.condition("CreateRule")


@pytest.mark.parametrize(
    ("name", "refused_with"),
    [
        ("Look", "invalid_request"),
        ("Ping", "invalid_request"),
        ("Nobody", "not_found"),
        ("", "not_found"),
    ],
)
def test_what_cannot_be_protected(name: str, refused_with: str) -> None:
    """Methods that only read, ineligible and unknown ones (B23)."""
    answer = rules.add_method(registered(), name, "", check)

    assert refused_with == code(answer)


def test_an_unknown_name_is_shown_safely() -> None:
    """Escaped and cut: nobody knows what it is."""
    answer = rules.add_method(registered(), "\x1b[31m" + "x" * 10_000, "", check)

    assert isinstance(answer, Refusal)
    assert ("\\x1b" in answer.message, True) == (True, len(answer.message) < 300)


def test_a_condition_that_cannot_be_used() -> None:
    """The refusal says why, and nothing changes (B18)."""
    answer = rules.add_method(registered(), "Rename", "!", check)

    assert Refusal("invalid_request", "condition: it does not parse.") == answer


@pytest.mark.parametrize("name", [*GOVERNING_METHODS, "Erase"])
def test_always_protected_methods_stay(name: str) -> None:
    """They cannot be removed or given a condition; adding one changes nothing (B20)."""
    before = registered()

    assert ("invalid_request", "invalid_request", before) == (
        code(rules.remove_method(before, name)),
        code(rules.add_method(before, name, "true", check)),
        rules.add_method(before, name, "", check),
    )


def test_a_method_is_removed() -> None:
    """A default and a custom one alike; what is not protected is not found."""
    before = granted(rules.add_method(registered(), "Rename", "", check))
    after = before
    for name in ("Rename", "Kill"):
        after = granted(rules.remove_method(after, name))

    assert (None, None, "not_found", "not_found") == (
        after.condition("Rename"),
        after.condition("Kill"),
        code(rules.remove_method(after, "Rename")),
        code(rules.remove_method(after, "Nobody")),
    )


# Reset and list


def test_reset_restores_the_defaults() -> None:
    """Custom ones go, removed and changed defaults come back, always is untouched (B24)."""
    before = registered()
    changed = granted(rules.add_method(before, "Rename", "", check))
    changed = granted(rules.add_method(changed, "CreateRule", "true", check))
    changed = granted(rules.remove_method(changed, "Kill"))
    after = rules.reset_methods(changed)

    assert (before.protected, listing(before), changed.revision + 1) == (
        after.protected,
        listing(after),
        after.revision,
    )


def test_the_list_marks_each_method() -> None:
    """Always, default, custom; a default drifts with its condition (B22)."""
    after = granted(rules.add_method(registered(), "Rename", "true", check))
    after = granted(rules.add_method(after, "CreateRule", "true", check))

    assert {
        "Erase": ("always", True, "", "always", False),
        "Kill": ("default", True, "", "default", False),
        "CreateRule": ("default", True, "true", "default", True),
        "Rename": ("eligible", True, "true", "custom", False),
        "Ping": ("ineligible", False, "", None, False),
        "Look": ("eligible", False, "", None, False),
    } == listing(after)


def test_a_removed_default_is_listed_as_eligible() -> None:
    """It can be added again (B22)."""
    after = granted(rules.remove_method(registered(), "Kill"))

    assert ("eligible", False, "", None, False) == listing(after)["Kill"]


def test_the_relays_own_methods_are_listed_first() -> None:
    """Each is always protected, without any service (B20)."""
    own = rules.listed(Protection(integrator_id="acme"))

    assert [(name, True, "", "always") for name in GOVERNING_METHODS] == [
        (one.method.name, one.protected, one.condition, one.mark) for one in own
    ]


# Catalogue


def test_defaults_are_seeded_once() -> None:
    """One that was removed stays removed when its service registers again."""
    removed = granted(rules.remove_method(registered(), "Kill"))
    again = registered(before=removed)

    assert (None, removed) == (again.condition("Kill"), again)


def test_registering_the_same_again_changes_nothing() -> None:
    """The revision stays, whatever the order of the methods."""
    before = registered()

    assert before is rules.register(before, SERVICE, reversed(CATALOGUE), check)


def test_a_new_default_is_protected_at_once() -> None:
    """Also while protection is on."""
    before = enabled(registered())
    after = registered(*CATALOGUE, method("Wipe", "default"), before=before)

    assert "" == after.condition("Wipe")


def test_a_custom_method_that_becomes_default_keeps_its_condition() -> None:
    """Its administrators chose it."""
    before = granted(rules.add_method(registered(), "Rename", GLOBAL, check))
    after = registered(method("Rename", "default"), before=before)

    assert ("default", True, GLOBAL, "default", True) == listing(after)["Rename"]


def test_a_default_that_becomes_eligible_stays_protected() -> None:
    """It is a custom one from then on."""
    after = registered(method("Kill"), before=registered())

    assert ("eligible", True, "", "custom", False) == listing(after)["Kill"]


def test_a_protected_method_that_becomes_always_loses_its_condition() -> None:
    """That is more protection, so it may also happen while protection is on."""
    before = enabled(registered())
    methods = [one for one in CATALOGUE if one.name != "CreateRule"]
    after = registered(*methods, method("CreateRule", "always"), before=before)

    assert ("always", True, "", "always", False) == listing(after)["CreateRule"]


WEAKER = {
    "always gone": tuple(one for one in CATALOGUE if one.name != "Erase"),
    "always to default": (*CATALOGUE[1:], method("Erase", "default")),
    "default gone": tuple(one for one in CATALOGUE if one.name != "Kill"),
    "default to ineligible": (
        *(one for one in CATALOGUE if one.name != "Kill"),
        method("Kill", "ineligible"),
    ),
    "default to read": (
        *(one for one in CATALOGUE if one.name != "Kill"),
        method("Kill", permission="read"),
    ),
    "custom gone": tuple(one for one in CATALOGUE if one.name != "Rename"),
    "everything gone": (),
}


@pytest.mark.parametrize("case", WEAKER)
def test_a_registration_takes_no_protection_away_while_on(case: str) -> None:
    """It is refused; the administrators have to decide that."""
    before = enabled(granted(rules.add_method(registered(), "Rename", "", check)))
    answer = rules.register(before, SERVICE, WEAKER[case], check)

    assert "failed_precondition" == code(answer)


@pytest.mark.parametrize("case", WEAKER)
def test_a_registration_may_take_protection_away_while_off(case: str) -> None:
    """What is gone is forgotten: should it come back, a default is protected anew."""
    before = granted(rules.add_method(registered(), "Rename", "", check))
    after = granted(rules.register(before, SERVICE, WEAKER[case], check))
    kept = {name for name, one in after.methods.items() if rules.is_eligible(one)}

    assert (True, True) == (kept >= set(after.protected), set(after.seeded) <= kept | {"Kill"})


def test_an_unprotected_method_may_go_while_on() -> None:
    """Nothing is taken away by that."""
    before = enabled(registered())
    methods = [one for one in CATALOGUE if one.name not in {"Rename", "Look", "Ping"}]
    after = registered(*methods, before=before)

    assert {"Erase", "Kill", "CreateRule"} == set(after.methods)


def test_a_default_that_was_gone_is_protected_when_it_comes_back() -> None:
    """Also where it had been removed before."""
    removed = granted(rules.remove_method(registered(), "Kill"))
    gone = registered(method("Rename"), before=removed)
    back = registered(before=gone)

    assert "" == back.condition("Kill")


def test_services_have_their_own_methods() -> None:
    """A registration replaces its service's methods and touches no other's."""
    before = registered()
    after = granted(rules.register(before, "other", [method("Sweep", service="other")], check))

    assert {*before.methods, "Sweep"} == set(after.methods)


BAD_CATALOGUES = {
    "a method of the relay": (SERVICE, (method("CreateAPIKey"),), "invalid_request"),
    "the relay's service": ("relay", (), "invalid_request"),
    "a service without name": ("", (), "invalid_request"),
    "a service with a space": ("work shop", (), "invalid_request"),
    "a service with a long name": ("w" * 81, (), "invalid_request"),
    "twice the same": (SERVICE, (method("A"), method("A")), "invalid_request"),
    "no name": (SERVICE, (method(""),), "invalid_request"),
    "a space": (SERVICE, (method("A B"),), "invalid_request"),
    "a line end": (SERVICE, (method("A\n"),), "invalid_request"),
    "not ASCII": (SERVICE, (method("Löschen"),), "invalid_request"),
    "a long name": (SERVICE, (method("A" * 201),), "invalid_request"),
    "always but read": (SERVICE, (method("A", "always", permission="read"),), "invalid_request"),
    "default but read": (SERVICE, (method("A", "default", permission="read"),), "invalid_request"),
    "a condition of no default": (SERVICE, (method("A", condition="true"),), "invalid_request"),
    "a bad condition": (SERVICE, (method("A", "default", condition="!"),), "invalid_request"),
    "another service's method": ("other", (method("Kill"),), "failed_precondition"),
}


@pytest.mark.parametrize("case", BAD_CATALOGUES)
def test_catalogues_that_are_refused(case: str) -> None:
    """With the rule that they break; nothing of them is taken in."""
    service, methods, refused_with = BAD_CATALOGUES[case]
    answer = rules.register(registered(), service, methods, check)

    assert refused_with == code(answer)


def test_catalogues_are_bounded() -> None:
    """All services of an integrator together."""
    before = registered()
    many = [method(f"M{number}", service="other") for number in range(MAX_METHODS)]
    room = MAX_METHODS - len(CATALOGUE)

    assert ("invalid_request", MAX_METHODS) == (
        code(rules.register(before, "other", many, check)),
        len(granted(rules.register(before, "other", many[:room], check)).methods),
    )


@pytest.mark.parametrize("name", ["/pkg.Workshop/Kill", "A" * limits.MAX_METHOD_NAME_CHARS, "~"])
def test_names_that_are_taken(name: str) -> None:
    """Whatever printable ASCII a service uses, such as a path of gRPC."""
    assert name in registered(method(name)).methods


# Administrators


def test_an_administrator_is_named_once() -> None:
    """A second time is no change."""
    before = granted(rules.add_administrator(Protection(integrator_id="acme"), "alice"))

    assert (("alice",), before) == (
        before.administrators,
        rules.add_administrator(before, "alice"),
    )


@pytest.mark.parametrize("approver", ["", "a" * 129, " alice", "ali\u202ece", "a\nb"])
def test_an_administrator_has_an_approvers_id(approver: str) -> None:
    """What could be no approver's is refused."""
    answer = rules.add_administrator(Protection(integrator_id="acme"), approver)

    assert "invalid_request" == code(answer)


def test_administrators_are_bounded() -> None:
    """A request names each of them."""
    crowd = tuple(f"a{number}" for number in range(rules.MAX_ADMINISTRATORS))
    before = Protection(integrator_id="acme", administrators=crowd)

    assert "failed_precondition" == code(rules.add_administrator(before, "alice"))


def test_an_administrator_is_removed() -> None:
    """Freely while protection is off; who is none is not found."""
    before = granted(rules.add_administrator(Protection(integrator_id="acme"), "alice"))
    after = granted(rules.remove_administrator(before, "alice", able_after=0))

    assert ((), "not_found") == (
        after.administrators,
        code(rules.remove_administrator(after, "alice", able_after=0)),
    )


def test_the_last_needed_administrator_is_not_removed_while_on() -> None:
    """Nobody could be approved any more; the operator of the host alone may let that happen."""
    before = enabled(registered())
    answer = rules.remove_administrator(before, "bob", able_after=1)
    forced = granted(rules.remove_administrator(before, "bob", able_after=1, may_fall_short=True))
    spare = granted(rules.remove_administrator(before, "bob", able_after=2))

    assert ("failed_precondition", ("alice",), ("alice",), 2) == (
        code(answer),
        forced.administrators,
        spare.administrators,
        forced.settings.required,
    )
