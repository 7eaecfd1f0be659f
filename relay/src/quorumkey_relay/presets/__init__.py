"""Catalogues of services that many run, as data: ``quorumkey-relay protection load NAME``.

A preset is the JSON file of its name in this folder: a service, and its methods as that service
would register them.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct

from quorumkey_relay.domain.protection import (
    GOVERNING_METHODS,
    RELAY_SERVICE,
    Method,
    MethodKind,
    Permission,
)

PRESETS: Final = ("workshop",)


class _Method(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    kind: MethodKind
    permission: Permission = "write"
    default_condition: str = ""
    resolver: bool = False


class _Preset(Struct, frozen=True, forbid_unknown_fields=True):
    service: str
    methods: list[_Method]


class Preset(Struct, frozen=True):
    """A service and all of its methods; those that the relay itself protects belong to it."""

    service: str
    methods: tuple[Method, ...]

    @property
    def to_register(self) -> tuple[Method, ...]:
        """The methods without the relay's own, which are always protected anyway."""
        return tuple(method for method in self.methods if method.name not in GOVERNING_METHODS)


def preset(name: str) -> Preset:
    """Read the preset of a name that is in `PRESETS`."""
    data = files(__name__).joinpath(f"{name}.json").read_bytes()
    read = msgspec.json.decode(data, type=_Preset)
    return Preset(
        read.service,
        tuple(
            Method(
                name=one.name,
                kind=one.kind,
                permission=one.permission,
                default_condition=one.default_condition,
                resolver=one.resolver,
                service=RELAY_SERVICE if one.name in GOVERNING_METHODS else read.service,
            )
            for one in read.methods
        ),
    )
