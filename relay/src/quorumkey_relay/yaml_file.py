"""Files in YAML that an operator writes: read strictly, with every problem told at once.

A file is checked against a msgspec struct. Each problem is a sentence that begins with the path of
the member that it is about, such as ``executors[1].name``. Values are repeated only where they
are numbers or words to choose from: anything else may be a secret in the wrong place.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeGuard, TypeVar, cast

import msgspec
import yaml
from msgspec import inspect

from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

T = TypeVar("T")

MAX_FILE_BYTES: Final = 1_048_576
_MAX_SHOWN_CHARS: Final = 60


class _StrictLoader(yaml.SafeLoader):
    """Plain data alone; a member that is there twice is an error, and so is an alias."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases: a few lines of them unfold to more than memory holds."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases are not read",
                problem_mark=None if parent is None else parent.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - as the library has it
    ) -> dict[Hashable, object]:
        """Refuse a member that is there twice, where YAML would keep the last one."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str) -> object:
    """Read one YAML document as plain data; raises ``ValueError`` with a sentence."""
    try:
        return cast("object", yaml.load(text, _StrictLoader))  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        where = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        said = error.problem or error.context or "it cannot be read"
        message = f"It is not the YAML that is expected{where}: {said}."
        raise ValueError(message) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ValueError("It is not YAML.") from None


def read_file(path: Path, kind: type[T]) -> T:
    """Read a file as ``kind``, a struct; the paths in it are relative to its folder.

    Raises ``ConfigError`` with a sentence for each problem of its form.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError((f"{path} cannot be read: {error.strerror}.",)) from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError((f"{path} must have at most {MAX_FILE_BYTES} bytes.",))
    try:
        value = parse_yaml(raw.decode())
    except UnicodeDecodeError:
        raise ConfigError((f"{path}: It is not UTF-8.",)) from None
    except ValueError as error:
        raise ConfigError((f"{path}: {error}",)) from None
    problems = tuple(_problems(value, inspect.type_info(kind), ""))
    if problems:
        raise ConfigError(tuple(f"{path}: {problem}" for problem in problems))
    folder = path.resolve().parent

    def convert(wanted: type, found: object) -> object:
        if wanted is not Path:
            raise AssertionError(wanted)
        return folder / str(found)

    return msgspec.convert(value, kind, dec_hook=convert)


def _problems(value: object, kind: inspect.Type, path: str) -> Iterator[str]:
    """Yield a sentence for each problem of ``value``, which stands at ``path``."""
    match kind:
        case inspect.UnionType():
            yield from _of_union(value, kind, path)
        case inspect.StructType():
            yield from _of_struct(value, kind, path)
        case inspect.VarTupleType():
            if not _is_list(value):
                yield f"{path} must be a list."
                return
            for index, item in enumerate(value):
                yield from _problems(item, kind.item_type, f"{path}[{index}]")
        case inspect.StrType() | inspect.CustomType():
            yield from _of_text(value, kind, path)
        case _:
            yield from _of_word(value, kind, path)


def _of_word(value: object, kind: inspect.Type, path: str) -> Iterator[str]:
    """Judge what is a number or one of a few words, and so is repeated."""
    match kind:
        case inspect.IntType(ge=int(least), le=int(most)):
            is_right = _is_whole(value) and least <= value <= most
            wanted = f"a whole number from {least} to {most}"
        case inspect.LiteralType(values=words):
            is_right, wanted = _is_one_of(value, words), _either(words)
        case inspect.BoolType():
            is_right, wanted = isinstance(value, bool), "true or false"
        case _:
            raise AssertionError(kind)
    if not is_right:
        yield f"{path} must be {wanted}{_shown(value)}."


def _of_union(value: object, kind: inspect.UnionType, path: str) -> Iterator[str]:
    """Judge by the one type beside null, or by the struct whose tag the value has."""
    kinds = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
    if value is None and len(kinds) < len(kind.types):
        return
    if len(kinds) == 1:
        yield from _problems(value, kinds[0], path)
        return
    tagged = {
        one.tag: one for one in kinds if isinstance(one, inspect.StructType) and one.tag is not None
    }
    field = next(iter(tagged.values())).tag_field or ""
    tag = value.get(field) if _is_mapping(value) else None
    if not isinstance(tag, str) or tag not in tagged:
        yield f"{path}.{field} must be {_either(tuple(tagged))}{_shown(tag)}."
        return
    yield from _of_struct(value, tagged[tag], path)


def _of_struct(value: object, kind: inspect.StructType, path: str) -> Iterator[str]:
    if not _is_mapping(value):
        yield f"{path or 'The file'} must be a mapping of names to values."
        return
    prefix = f"{path}." if path else ""
    fields = {field.encode_name: field for field in kind.fields}
    known = {*fields, *((kind.tag_field,) if kind.tag_field else ())}
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            yield f"{prefix}{_shortened(name)} is not a member{hint}"
    for name, field in fields.items():
        if name in value:
            yield from _problems(value[name], field.type, f"{prefix}{name}")
        elif field.required:
            yield f"{prefix}{name} is missing."


def _of_text(value: object, kind: inspect.StrType | inspect.CustomType, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path} must be text."
        return
    least = (kind.min_length or 0) if isinstance(kind, inspect.StrType) else 1
    most = kind.max_length if isinstance(kind, inspect.StrType) else None
    if len(value) < least:
        yield f"{path} must not be empty."
    elif most is not None and len(value) > most:
        yield f"{path} must have at most {most} characters."


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _is_mapping(value: object) -> TypeGuard[dict[object, object]]:
    return isinstance(value, dict)


def _is_one_of(value: object, words: tuple[object, ...]) -> bool:
    return isinstance(value, str) and value in words


def _either(words: tuple[object, ...]) -> str:
    *others, last = (str(word) for word in words)
    return f"{', '.join(others)} or {last}" if others else last


def _shown(value: object) -> str:
    """Return what was given instead, where it is short and no secret by its kind."""
    if isinstance(value, bool | int | float):
        return f" (it is {str(value).lower()})"
    return f" (it is {_shortened(value)!r})" if isinstance(value, str) else ""


def _shortened(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + "…"
