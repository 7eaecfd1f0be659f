"""How well a CEL library agrees with the specification's own cases, for ADR 14.

    python -m bench.cel_conformance cel_python-0.5.0.tar.gz
    python -m bench.cel_conformance cel_python-0.5.0.tar.gz --engine common-expression-language

The cases are those of https://github.com/google/cel-spec (tests/simple), as the source
distribution of ``cel-python`` carries them. Taken are the files about the language itself, without
the cases that need messages of the specification's own protobuf packages, or no type check: a
condition has neither. The library that is measured has to be importable; the relay's is, others
want an environment of their own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.textproto import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.textproto import Message

FILES: Final = (
    *("basic", "comparisons", "conversions", "fields", "fp_math", "integer_math", "lists"),
    *("logic", "macros", "namespace", "parse", "plumbing", "string", "timestamps"),
)

_MESSAGE: Final = "MESSAGE"
#: What a case may have and a condition does not: packages, no type check, unknown values.
_BEYOND: Final = {
    *("container", "disable_check", "check_only", "typed_result", "unknown", "any_unknowns"),
}
_SCALARS: Final[Mapping[str, tuple[str, Callable[[bytes], object]]]] = {
    "bool_value": ("BOOL", b"true".__eq__),
    "int64_value": ("INT", int),
    "uint64_value": ("UINT", int),
    "double_value": ("DOUBLE", float),
    "string_value": ("STRING", bytes.decode),
    "bytes_value": ("BYTES", bytes),
    "type_value": ("TYPE", bytes.decode),
}

#: The kind of a CEL value and the value, so that 1, 1u, 1.0 and true are four.
Value = tuple[str, object]


class EvaluationError(Exception):
    """An expression does not compile, or ends in an error."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case; ``expected`` is None where an error is."""

    file: str
    name: str
    expression: str
    types: Mapping[str, str]
    bindings: Mapping[str, object]
    expected: Value | None


# Cases


def cases_in(path: Path) -> tuple[list[Case], int]:
    """Return the cases of a source distribution, and how many were left out."""
    found: list[Case | None] = []
    with tarfile.open(path) as archive:
        for name in FILES:
            member = next(one for one in archive if one.name.endswith(f"features/{name}.textproto"))
            file = archive.extractfile(member)
            if file is None:
                raise ValueError(name)
            for section in read(file.read().decode()).messages("section"):
                found += [_case(name, test) for test in section.messages("test")]
    cases = [case for case in found if case is not None]
    return cases, len(found) - len(cases)


def _case(file: str, test: Message) -> Case | None:
    """Return a case, None where it needs what a condition does not have."""
    expression = test.text("expr")
    if _BEYOND & set(test) or "TestAllTypes" in expression:
        return None
    types = {
        one.text("name"): _type(one.message("ident", "type"))
        for one in test.messages("type_env")
        if "ident" in one
    }
    bindings = {
        one.text("key"): _value(one.message("value", "value")) for one in test.messages("bindings")
    }
    types = dict.fromkeys(bindings, "dyn") | types
    expected: Value | None = ("BOOL", True)  # what a case without a result means
    if "eval_error" in test or "any_eval_errors" in test:
        expected = None
    elif "value" in test:
        expected = _value(test.message("value"))
    kinds = {expected[0]} if expected else set[str]()
    if _MESSAGE in kinds | {kind for kind, _ in bindings.values()}:
        return None
    values = {name: value for name, (_, value) in bindings.items()}
    return Case(file, test.text("name"), expression, types, values, expected)


def _type(message: Message) -> str:
    if "primitive" in message:
        return message.text("primitive").lower()
    for kind in ("map_type", "list_type"):
        if kind in message:
            return kind.removesuffix("_type")
    return "dyn"


def _value(value: Message) -> Value:
    """Return a value; of a message of a protobuf package only that it is one."""
    (name,) = tuple(value) or ("null_value",)
    if name in _SCALARS:
        kind, read_scalar = _SCALARS[name]
        return kind, read_scalar(value.content(name))
    if name == "list_value":
        inner = [_value(one) for one in value.message(name).messages("values")]
        return _whole("LIST", inner, [one for _, one in inner])
    if name == "map_value":
        entries = value.message(name).messages("entries")
        keys = [_value(one.message("key")) for one in entries]
        values = [_value(one.message("value")) for one in entries]
        pairs = zip(keys, values, strict=True)
        return _whole("MAP", keys + values, {key: one for (_, key), (_, one) in pairs})
    return ("NULL", None) if name == "null_value" else (_MESSAGE, None)


def _whole(kind: str, parts: list[Value], value: object) -> Value:
    """Return a container, or that a message is in it."""
    return (_MESSAGE, None) if any(part == _MESSAGE for part, _ in parts) else (kind, value)


# Libraries


def _cel_expr_python() -> Callable[[Case], Value]:
    cel: Any = import_module("cel_expr_python.cel")
    kinds = {
        "dyn": cel.Type.DYN,
        "map": cel.Type.Map(cel.Type.DYN, cel.Type.DYN),
        "list": cel.Type.List(cel.Type.DYN),
        **{name: getattr(cel.Type, name.upper()) for name in ("bool", "string", "bytes", "double")},
        "int64": cel.Type.INT,
        "uint64": cel.Type.UINT,
    }

    def evaluate(case: Case) -> Value:
        environment = cel.NewEnv(variables={name: kinds[kind] for name, kind in case.types.items()})
        try:
            found = environment.compile(case.expression).eval(data=dict(case.bindings))
        except RuntimeError as error:
            raise EvaluationError from error
        kind = str(found.type().name()).partition("<")[0]
        if kind == "ERROR":
            raise EvaluationError
        if kind == "TYPE":
            return kind, _type_name(str(found.plain_value().name()))
        return kind, found.plain_value()

    return evaluate


def _common_expression_language() -> Callable[[Case], Value]:
    cel: Any = import_module("cel")

    def evaluate(case: Case) -> Value:
        try:
            return _kind_of(cel.evaluate(case.expression, dict(case.bindings)))
        except Exception as error:
            raise EvaluationError from error

    return evaluate


def _cel_python() -> Callable[[Case], Value]:
    celpy: Any = import_module("celpy")
    to_cel: Any = import_module("celpy.adapter").json_to_cel
    kinds = {
        "BoolType": "BOOL",
        "IntType": "INT",
        "UintType": "UINT",
        "DoubleType": "DOUBLE",
        "StringType": "STRING",
        "BytesType": "BYTES",
        "NoneType": "NULL",
        "ListType": "LIST",
        "MapType": "MAP",
        "TimestampType": "TIMESTAMP",
        "DurationType": "DURATION",
    }

    def evaluate(case: Case) -> Value:
        try:
            environment = celpy.Environment()
            program = environment.program(environment.compile(case.expression))
            found = program.evaluate({name: to_cel(one) for name, one in case.bindings.items()})
        except Exception as error:
            raise EvaluationError from error
        if isinstance(found, type):
            return "TYPE", kinds.get(found.__name__, found.__name__).lower()
        kind = kinds.get(type(found).__name__, type(found).__name__)
        return kind, bool(found) if kind == "BOOL" else found

    return evaluate


_KINDS: Final = (
    (bool, "BOOL"),
    (int, "INT"),
    (float, "DOUBLE"),
    (str, "STRING"),
    (bytes, "BYTES"),
    (type(None), "NULL"),
    (list, "LIST"),
    (dict, "MAP"),
    (dt.datetime, "TIMESTAMP"),
    (dt.timedelta, "DURATION"),
)

ENGINES: Final = {
    "cel-expr-python": _cel_expr_python,
    "common-expression-language": _common_expression_language,
    "cel-python": _cel_python,
}


def _kind_of(value: object) -> Value:
    """Return a value of Python with the kind that its type stands for; uint is int there."""
    found = next((kind for types, kind in _KINDS if issubclass(type(value), types)), "?")
    return found, value


def _type_name(name: str) -> str:
    short = name.partition("<")[0].lower()
    return {"null": "null_type"}.get(short, short)


# Judging


def agrees(case: Case, evaluate: Callable[[Case], Value], *, knows_uint: bool) -> bool:
    """Say whether a library answers a case as the specification does."""
    try:
        kind, value = evaluate(case)
    except EvaluationError:
        return case.expected is None
    if case.expected is None:
        return False
    expected_kind, expected = case.expected
    if expected_kind == "UINT" and not knows_uint:
        expected_kind = "INT"
    if kind != expected_kind:
        return False
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(value, float) and math.isnan(value)
    if kind == "TYPE":
        return bool(_same_type(str(expected), str(value)))
    return bool(value == expected)


def _same_type(expected: str, value: str) -> bool:
    aliases = {"google.protobuf.timestamp": "timestamp", "google.protobuf.duration": "duration"}
    return aliases.get(expected.lower(), expected.lower()) == aliases.get(value, value)


def main() -> int:
    """Run the cases; print how many agree, by file, and which do not."""
    parser = argparse.ArgumentParser(prog="python -m bench.cel_conformance", description=__doc__)
    parser.add_argument("sdist", type=Path, help="the source distribution of cel-python")
    parser.add_argument("--engine", choices=ENGINES, default="cel-expr-python")
    parser.add_argument("--all", action="store_true", help="name the cases that do not agree")
    given = parser.parse_args()
    engine: str = given.engine
    cases, left_out = cases_in(given.sdist)
    evaluate = ENGINES[engine]()
    agreed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for case in cases:
        total[case.file] += 1
        if agrees(case, evaluate, knows_uint=engine != "common-expression-language"):
            agreed[case.file] += 1
        elif given.all:
            print(f"  {case.file}/{case.name}: {case.expression!r}")
    for file in FILES:
        print(f"{file:<14}{agreed[file]:>4} of {total[file]}")
    print(f"{engine}: {agreed.total()} of {total.total()} cases; {left_out} left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
