"""IAM policies as Google's Resource Manager judges them, as far as roles and conditions go.

Rules: cloud.google.com/iam/docs, "Policy" and "Expr" of the REST reference, and "Overview of IAM
Conditions". Where Google is lenient in a way that would hide a sender's mistake, this refuses.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

CONDITIONAL_VERSION: Final = 3
MAX_TITLE_CHARS: Final = 100
MAX_DESCRIPTION_CHARS: Final = 256
MAX_EXPRESSION_CHARS: Final = 4_096

_POLICY_MEMBERS: Final = frozenset(("version", "bindings", "auditConfigs", "etag"))
_BINDING_MEMBERS: Final = frozenset(("role", "members", "condition"))
_EXPR_MEMBERS: Final = frozenset(("title", "description", "expression", "location"))
_BASIC_ROLES: Final = frozenset(("roles/owner", "roles/editor", "roles/viewer"))
_ROLE: Final = re.compile(
    r"(?:(?:projects|organizations)/[a-z0-9.:-]+/)?roles/[A-Za-z0-9_.]{1,100}", re.ASCII
)
_MEMBER: Final = re.compile(
    r"(?:user|group|serviceAccount):[^@\s:]+@[^@\s:]+\.[a-z]+|domain:[^@\s:]+|allUsers"
    r"|allAuthenticatedUsers|deleted:.+"
)
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<number>[0-9]+(?:\.[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<open>[(\[{]) | (?P<close>[)\]}])
      | (?P<sign>&&|\|\||==|!=|<=|>=|[<>!.,:?+-])
    )""",
    re.VERBOSE,
)
_PAIRS: Final = {"(": ")", "[": "]", "{": "}"}
#: What an expression may begin a path with, beside what stands behind a dot.
_ROOTS: Final = frozenset(
    ("request", "resource", "api", "timestamp", "duration", "has", "true", "false", "in")
)
_TIME: Final = re.compile(
    r'request\.time\s*(?P<sign><=|>=|<|>)\s*timestamp\(\s*"(?P<at>[^"]*)"\s*\)'
)
_MARKER: Final = re.compile(r"has\(\s*\{\s*\}\.", re.IGNORECASE)


class PolicyRefusedError(Exception):
    """A policy, or a wish for one, that Google answers 400 INVALID_ARGUMENT; says why."""


def read_policy(value: object) -> dict[str, object]:
    """Return a policy in the one form in which it is kept; raises ``PolicyRefusedError``."""
    policy = _object(value, "policy", _POLICY_MEMBERS)
    found = policy.get("bindings", [])
    if not isinstance(found, list):
        raise PolicyRefusedError("policy.bindings must be a list")
    bindings: list[dict[str, object]] = []
    for binding in cast("list[object]", found):
        _merge(bindings, _binding(binding, policy.get("version", 1)))
    return {**policy, "bindings": bindings}


def is_conditional(policy: Mapping[str, object]) -> bool:
    """Say whether a policy has a binding with a condition."""
    bindings = cast("list[Mapping[str, object]]", policy.get("bindings", []))
    return any("condition" in binding for binding in bindings)


def holds(expression: str, now: float) -> bool:
    """Say whether a condition holds at ``now`` for some resource.

    Every comparison with the time must hold, so this is right for clauses joined by ``&&``.
    Markers of eligibility never hold.
    """
    if _MARKER.search(expression):
        return False
    return all(_compared(found, now) for found in _TIME.finditer(expression))


def _compared(found: re.Match[str], now: float) -> bool:
    at = datetime.fromisoformat(found["at"]).timestamp()
    match found["sign"]:
        case "<":
            return now < at
        case "<=":
            return now <= at
        case ">":
            return now > at
        case _:
            return now >= at


def _merge(bindings: list[dict[str, object]], binding: dict[str, object]) -> None:
    """Add a binding, to one of the same role and condition where there is one."""
    for one in bindings:
        if (one["role"], one.get("condition")) == (binding["role"], binding.get("condition")):
            known = cast("list[str]", one["members"])
            one["members"] = sorted({*known, *cast("list[str]", binding["members"])})
            return
    bindings.append(binding)


def _binding(value: object, version: object) -> dict[str, object]:
    binding = _object(value, "binding", _BINDING_MEMBERS)
    role, members = binding.get("role"), binding.get("members")
    if not isinstance(role, str) or _ROLE.fullmatch(role) is None:
        raise PolicyRefusedError(f"Role {role!r} is not supported")
    if not isinstance(members, list) or not members:
        raise PolicyRefusedError(f"a binding of {role} has no members")
    for member in cast("list[object]", members):
        if not isinstance(member, str) or _MEMBER.fullmatch(member) is None:
            raise PolicyRefusedError(f"Invalid member {member!r}")
    named = sorted(set(cast("list[str]", members)))
    if binding.get("condition") is None:
        return {"role": role, "members": named}
    if version != CONDITIONAL_VERSION:
        raise PolicyRefusedError("a policy with conditions must be of version 3")
    if role in _BASIC_ROLES:
        raise PolicyRefusedError(f"conditions are not allowed for the basic role {role}")
    return {"role": role, "members": named, "condition": _expression(binding["condition"])}


def _expression(value: object) -> dict[str, object]:
    expr = _object(value, "condition", _EXPR_MEMBERS)
    for name, most in (
        ("title", MAX_TITLE_CHARS),
        ("description", MAX_DESCRIPTION_CHARS),
        ("expression", MAX_EXPRESSION_CHARS),
    ):
        text = expr.get(name, "")
        if not isinstance(text, str) or len(text) > most:
            raise PolicyRefusedError(f"condition.{name} has more than {most} characters")
    if not expr.get("title"):
        raise PolicyRefusedError("condition.title must be set")
    _check_expression(cast("str", expr.get("expression", "")))
    return expr


def _check_expression(text: str) -> None:
    """Refuse what cannot be a condition: unknown signs and names, brackets that do not match."""
    closing: list[str] = []
    position, last = 0, ""
    rest = text.rstrip()
    if not rest:
        raise PolicyRefusedError("condition.expression must be set")
    while position < len(rest):
        found = _TOKEN.match(rest, position)
        if found is None:
            raise PolicyRefusedError(f"condition.expression is no CEL at {position}")
        token, position = found[0].strip(), found.end()
        if found["open"]:
            closing.append(_PAIRS[token])
        elif found["close"] and (not closing or closing.pop() != token):
            raise PolicyRefusedError("brackets of condition.expression do not match")
        elif found["name"] and last != "." and token not in _ROOTS:
            raise PolicyRefusedError(f"condition.expression: undeclared reference to {token}")
        last = token
    if closing:
        raise PolicyRefusedError("brackets of condition.expression do not match")
    for time in _TIME.finditer(rest):
        try:
            datetime.fromisoformat(time["at"])
        except ValueError:
            raise PolicyRefusedError(f"{time['at']} is no timestamp") from None


def _object(value: object, name: str, allowed: frozenset[str]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise PolicyRefusedError(f"{name} must be an object")
    members = cast("dict[str, object]", value)
    unknown = sorted(members.keys() - allowed)
    if unknown:
        raise PolicyRefusedError(f"unknown name {unknown[0]!r} at {name}")
    return dict(members)
