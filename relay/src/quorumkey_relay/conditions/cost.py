"""What evaluating a condition can cost at most, from its syntax tree, before it is evaluated.

The library stops a loop after 10,000 rounds and nothing else: a round may look through 64 KiB of
text, and what ``map`` and ``filter`` collect is copied in every round, so that 9,000 elements take
four seconds (measured; ADR 14). So the cost of a condition is worked out once, as a polynomial of
two quantities of a call: ``n``, how many elements its lists and maps can have, and ``s``, how many
bytes it has as JSON. A call for which that is more than a budget is not evaluated: it waits.

Costs are in nanoseconds of the machine in ADR 14, each rounded up by a factor of about two.

Sizes are counted the same way. Inside a loop the variable's size is ``e``: over all rounds together
it is no larger than what is looped over, however many rounds there are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

from quorumkey_relay.conditions.pattern import MAX_PATTERN_CHARS, weight_of
from quorumkey_relay.conditions.tree import (
    Call,
    Comprehension,
    Constant,
    Identifier,
    Literal,
    Select,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quorumkey_relay.conditions.tree import Node

MAX_NODES: Final = 200
_VARIABLES: Final = frozenset({"request", "resource"})
#: The library's own bound of a loop.
MAX_ROUNDS: Final = 10_000

_NODE: Final = 60
_ELEMENT: Final = 350  # of a call, to make it a value of the library
_COMPARED_BYTE: Final = 40
_LISTED_BYTE: Final = 20
_JOINED_BYTE: Final = 20
_READ_BYTE: Final = 20
_COUNTED_BYTE: Final = 4
_SEARCHED_BYTE: Final = 25
_SEARCHED_BYTE_FOR_ANY: Final = 200  # for a text that is not written out
_MATCHED_BYTE: Final = 10  # for each state
_STATE: Final = 600
_PATTERN: Final = 3_000
_COLLECTED: Final = 60  # for each pair of elements
_TIME_ZONE: Final = 100_000

_COMPARISONS: Final = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_CONSTANT_COST: Final = frozenset(
    {
        *("_&&_", "_||_", "!_", "_?_:_", "@not_strictly_false", "__not_strictly_false__"),
        *("_-_", "_*_", "_/_", "_%_", "-_", "type", "dyn", "bool"),
    }
)
_READING: Final = frozenset({"int", "uint", "double", "timestamp", "duration"})
_WRITING: Final = frozenset({"string", "bytes"})
_OF_TIME: Final = frozenset(
    {
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
#: Any other text could name a file to the library that looks it up.
_ZONE: Final = re.compile(r"[A-Z][A-Za-z_]{1,31}(/[A-Z][A-Za-z_+-]{1,31}){0,2}|[+-]?\d\d:\d\d")


class TooCostly(Exception):  # noqa: N818 - it says what the condition is, in a sentence
    """The condition has something that is not allowed; the message says what."""


class Polynomial(NamedTuple):
    """``one + n·count + s·size + nn·count² + ns·count·size``; ``e`` only inside a loop."""

    one: int = 0
    n: int = 0
    s: int = 0
    nn: int = 0
    ns: int = 0
    e: int = 0

    def plus(self, other: Polynomial) -> Polynomial:
        """Return the sum."""
        return Polynomial(*(mine + its for mine, its in zip(self, other, strict=True)))

    def times(self, factor: int) -> Polynomial:
        """Return this, ``factor`` times."""
        return Polynomial(*(mine * factor for mine in self))

    def at(self, *, count: int, size: int) -> int:
        """Return the value for a call of so many elements and bytes."""
        rounds = min(count, MAX_ROUNDS)
        return (
            self.one
            + self.n * count
            + self.s * size
            + self.nn * rounds * rounds
            + self.ns * rounds * size
        )

    def is_small(self) -> bool:
        """Say whether it grows with nothing but what a loop looks at."""
        return not (self.n or self.s or self.nn or self.ns)


#: Of a number, a truth value, a moment.
_SMALL: Final = Polynomial(one=32)


class _Estimate(NamedTuple):
    cost: Polynomial
    size: Polynomial


def cost_of(tree: Node) -> Polynomial:
    """Return what evaluating an expression can cost.

    Raises:
        TooCostly: it has too many parts, a loop in a loop, or what cannot be bounded.
    """
    parts = _count(tree)
    if parts > MAX_NODES:
        message = f"it has {parts} parts, macros written out; at most {MAX_NODES} are allowed"
        raise TooCostly(message)
    converting = Polynomial(n=_ELEMENT, s=1)
    return converting.plus(_Estimator().estimate(tree).cost)


def _count(node: Node) -> int:
    return 1 + sum(_count(part) for part in _parts(node))


def _parts(node: Node) -> Iterable[Node]:
    match node:
        case Select(operand=operand):
            return (operand,)
        case Call(operands=operands):
            return operands
        case Literal(parts=parts):
            return parts
        case Comprehension():
            return (node.range, node.start, node.goes_on, node.step, node.result)
        case _:
            return ()


def patterns_of(tree: Node) -> list[str]:
    """Return the patterns of the calls of ``matches``, as far as they are written out."""
    found = (node.operands[-1] for node in _within(tree) if _is_matching(node))
    return [node.text for node in found if isinstance(node, Constant) and node.text is not None]


def _is_matching(node: Node) -> TypeGuard[Call]:
    return isinstance(node, Call) and node.function == "matches"


def _total(polynomials: Iterable[Polynomial]) -> Polynomial:
    total = Polynomial()
    for polynomial in polynomials:
        total = total.plus(polynomial)
    return total


class _Estimator:
    """Walks one tree; knows the loop that it is in."""

    def __init__(self, loop: Comprehension | None = None) -> None:
        self._loop = loop

    def estimate(self, node: Node) -> _Estimate:
        """Return a part's cost and the size of its value."""
        match node:
            case Constant(size=size):
                return _Estimate(Polynomial(one=_NODE), Polynomial(one=size + 1))
            case Identifier(name=name):
                return _Estimate(Polynomial(one=_NODE), self._size_of(name))
            case Select(operand=operand):
                found = self.estimate(operand)
                return _Estimate(found.cost.plus(Polynomial(one=_NODE)), found.size)
            case Literal(parts=parts, message=message):
                if message:
                    text = f"messages such as {message} cannot be written out in a condition"
                    raise TooCostly(text)
                found = self._joined(parts)
                return _Estimate(found.cost, found.size.plus(Polynomial(one=1)))
            case Comprehension():
                return self._repeated(node)
            case Call():
                return self._called(node)

    def _size_of(self, name: str) -> Polynomial:
        if name in _VARIABLES:
            return Polynomial(s=1)
        if self._loop is not None and name in self._loop.variables:
            return Polynomial(e=1)
        return Polynomial(one=1)  # a type's name, or what a macro has collected so far

    def _joined(self, parts: Iterable[Node]) -> _Estimate:
        found = [self.estimate(part) for part in parts]
        return _Estimate(
            _total(one.cost for one in found).plus(Polynomial(one=_NODE)),
            _total(one.size for one in found),
        )

    def _repeated(self, loop: Comprehension) -> _Estimate:
        if self._loop is not None:
            message = "a loop (all, exists, exists_one, filter, map) stands inside another"
            raise TooCostly(message)
        if any(isinstance(part, Comprehension) for part in _within(loop.range)):
            message = "a loop (all, exists, exists_one, filter, map) runs over another's result"
            raise TooCostly(message)
        if _VARIABLES.intersection(loop.variables):  # .request would still be the call's
            message = "the variable of a loop cannot be called request or resource"
            raise TooCostly(message)
        over = self.estimate(loop.range)
        inside = _Estimator(loop)
        body = _total(inside.estimate(part).cost for part in (loop.goes_on, loop.step, loop.result))
        rounds = over.size  # of one byte at least is each element
        cost = over.cost.plus(_multiplied(body, rounds)).plus(Polynomial(one=_NODE))
        if not isinstance(loop.start, Literal):
            return _Estimate(cost, Polynomial(one=1))
        copied = Polynomial(
            one=rounds.one * rounds.one,
            n=2 * rounds.one * rounds.s,
            nn=rounds.s * rounds.s,
        ).times(_COLLECTED)
        collected = inside.estimate(loop.step).size
        return _Estimate(cost.plus(copied), _multiplied(collected, rounds))

    def _called(self, call: Call) -> _Estimate:
        found = [self.estimate(operand) for operand in call.operands]
        whole = _total(one.size for one in found)
        own, size = self._work(call, [one.size for one in found], whole)
        cost = _total(one.cost for one in found).plus(own).plus(Polynomial(one=_NODE))
        return _Estimate(cost, size)

    def _work(  # noqa: C901, PLR0911, PLR0912 - one case a kind of function
        self, call: Call, sizes: Sequence[Polynomial], whole: Polynomial
    ) -> tuple[Polynomial, Polynomial]:
        """Return what a call costs beside its operands, and the size of what it returns."""
        match call.function:
            case "_+_":
                return self._sum(call, whole)
            case "_[_]":  # looks no further than the key
                return sizes[-1].times(_READ_BYTE), whole
            case "startsWith" | "endsWith":
                return sizes[-1].times(_READ_BYTE), _SMALL
            case "@in":
                return whole.times(_LISTED_BYTE), _SMALL
            case "size":
                return whole.times(_COUNTED_BYTE), _SMALL
            case "contains":
                written_out = isinstance(call.operands[-1], Constant)
                each = _SEARCHED_BYTE if written_out else _SEARCHED_BYTE_FOR_ANY
                return whole.times(each), _SMALL
            case "matches":
                return _matching(call.operands[-1], sizes[0]), _SMALL
            case function if function in _COMPARISONS:
                return _compared(sizes), _SMALL
            case function if function in _CONSTANT_COST:
                return Polynomial(), whole
            case function if function in _READING:
                return whole.times(_READ_BYTE), _SMALL
            case function if function in _WRITING:
                return whole.times(_READ_BYTE), whole.plus(_SMALL)
            case function if function in _OF_TIME:
                return _zone(call), _SMALL
            case function:
                message = f"{function} is not available in a condition"
                raise TooCostly(message)

    def _sum(self, call: Call, whole: Polynomial) -> tuple[Polynomial, Polynomial]:
        if self._loop is None:
            return whole.times(_JOINED_BYTE), whole
        first = call.operands[0]
        if not isinstance(first, Identifier) or first.name != self._loop.accumulator:
            message = "+ stands inside a loop (all, exists, exists_one, filter, map)"
            raise TooCostly(message)
        return Polynomial(), whole  # the macro's own; what it copies is counted with the loop


def _compared(sizes: Sequence[Polynomial]) -> Polynomial:
    """Two values are compared as far as the smaller one goes."""
    small = [size for size in sizes if size.is_small()]
    fixed = [size for size in small if not size.e]
    return (fixed or small or sizes)[0].times(_COMPARED_BYTE)


def _matching(pattern: Node, looked_at: Polynomial) -> Polynomial:
    if not isinstance(pattern, Constant) or pattern.text is None:
        message = "the pattern of matches has to be written out, as a text in quotes"
        raise TooCostly(message)
    weight = weight_of(pattern.text)
    if weight is None:
        message = (
            f"the pattern of matches is too long or repeats too much: at most {MAX_PATTERN_CHARS}"
            " characters, no Unicode classes, no quoting"
        )
        raise TooCostly(message)
    scanned = looked_at.times(_MATCHED_BYTE * weight)
    return scanned.plus(Polynomial(one=_PATTERN + _STATE * weight))


def _zone(call: Call) -> Polynomial:
    if len(call.operands) == 1:
        return Polynomial()
    zone = call.operands[-1]
    if not isinstance(zone, Constant) or zone.text is None or not _ZONE.fullmatch(zone.text):
        message = 'a time zone has to be written out, such as "Europe/Berlin" or "+02:00"'
        raise TooCostly(message)
    return Polynomial(one=_TIME_ZONE)


def _within(node: Node) -> Iterable[Node]:
    yield node
    for part in _parts(node):
        yield from _within(part)


def _multiplied(body: Polynomial, rounds: Polynomial) -> Polynomial:
    """Return the sum over all rounds: what is looped over adds up to its own size."""
    return Polynomial(
        one=body.one * rounds.one + body.e * rounds.one,
        n=body.one * rounds.s,
        s=body.s * rounds.one + body.e * rounds.s,
        ns=body.s * rounds.s,
    )
