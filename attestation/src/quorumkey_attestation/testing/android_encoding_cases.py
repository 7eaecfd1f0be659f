"""The cases of how a KeyDescription is written: D18 to D22, and D25 to D33."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from quorumkey_attestation import der
from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing.android_case import (
    Refusal,
    accepted,
    attested,
    refused,
    with_hardware,
    with_software,
)
from quorumkey_attestation.testing.android_description import (
    CHALLENGE,
    KEYMINT_VERSIONS,
    description,
    root_of_trust,
)
from quorumkey_attestation.testing.der_encoding import (
    declared,
    element,
    enumerated,
    integer,
    nested,
    null,
    octet_string,
    sequence,
    set_of,
    with_long_length,
)

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases", "later_cases"]

_UNKNOWN_TAG: Final = 999
_FUTURE_VERSION: Final = 600
_NOT_TRUE_IN_DER: Final = 0x01

_TRAILING: Final = Refusal(Reason.MALFORMED, "der/5-trailing")


def cases() -> tuple[Case, ...]:
    """Return D18 to D22, in the order of their numbers."""
    return (*_elements(), *_tolerated(), *_bounds())


def later_cases() -> tuple[Case, ...]:
    """Return D25 and those after it, in the order of their numbers."""
    return (*_versions(), *_values())


def _elements() -> tuple[Case, ...]:
    sound = description()
    encoded = sound.encoded()
    origin = next(pair for pair in sound.hardware if pair[0] == 702)  # noqa: PLR2004  # the schema's number of origin
    position = sound.hardware.index(origin)
    doubled = (*sound.hardware[:position], origin, *sound.hardware[position:])
    seven = sequence(*_members(encoded)[:7])
    in_root = with_hardware({704: _lengthened(root_of_trust())})
    return (
        refused(
            "D18a",
            "a tag twice",
            attested(replace(sound, hardware=doubled)),
            Refusal(Reason.MALFORMED, "android.list/1-duplicate"),
        ),
        refused("D18b", "octets after the KeyDescription", attested(encoded + null()), _TRAILING),
        refused("D18c", "nine elements", attested(replace(sound, more=null())), _TRAILING),
        refused("D18d", "an element too many in RootOfTrust", attested(in_root), _TRAILING),
        refused(
            "D18e",
            "two elements in one tag",
            attested(with_hardware({702: integer(0) + integer(0)})),
            _TRAILING,
        ),
        refused(
            "D18f",
            "seven elements",
            attested(seven),
            Refusal(Reason.MALFORMED, "der/3-bounds", has_reading=False),
        ),
    )


def _members(encoded: bytes) -> list[bytes]:
    reader = der.Reader(der.Reader(encoded, "").read(der.SEQUENCE).content, "")
    members: list[bytes] = []
    while not reader.at_end:
        member = reader.read()
        members.append(element(member.tag, member.content))
    return members


def _with_more(octets: bytes) -> bytes:
    """Return a KeyDescription in which ``octets`` follow the last tag of the last list."""
    *members, hardware = _members(description().encoded())
    tags = der.Reader(hardware, "").read(der.SEQUENCE).content
    return sequence(*members, element(der.SEQUENCE, tags + octets))


def _lengthened(encoded: bytes) -> bytes:
    return sequence(*_members(encoded), null())


def _tolerated() -> tuple[Case, ...]:
    sound = description()
    misspelt = attested(with_hardware({704: root_of_trust(true=_NOT_TRUE_IN_DER)}))
    unordered = attested(replace(sound, hardware=tuple(reversed(sound.hardware))))
    unknown = {_UNKNOWN_TAG: octet_string(b"new")}
    return (
        accepted(
            "D19a",
            "a TRUE of 0x01, where policy reports it",
            misspelt,
            settings={"non_der_boolean": "report"},
        ),
        refused(
            "D19b",
            "a TRUE of 0x01",
            misspelt,
            Refusal(Reason.MALFORMED, "android.key/5-boolean"),
            control="D19a",
        ),
        accepted("D20a", "an unknown tag in the hardware's list", attested(with_hardware(unknown))),
        accepted("D20b", "an unknown tag in the other list", attested(with_software(unknown))),
        accepted(
            "D20c",
            "a version that nobody knows yet",
            attested(replace(sound, version=_FUTURE_VERSION, keymint_version=_FUTURE_VERSION)),
        ),
        accepted("D21a", "tags out of order", unordered),
        refused(
            "D21b",
            "tags out of order, where policy is strict",
            unordered,
            Refusal(Reason.MALFORMED, "android.key/5-tag-order"),
            control="D21a",
            settings={"tag_order": "strict"},
        ),
    )


def _bounds() -> tuple[Case, ...]:
    members = _members(description().encoded())
    octets = der.OCTET_STRING
    endless = sequence(*members[:4], declared(octets, 2**31, CHALLENGE), *members[5:])
    long_form = sequence(*members[:4], with_long_length(octets, CHALLENGE, 2), *members[5:])
    crowd = {tag: null() for tag in range(_UNKNOWN_TAG, _UNKNOWN_TAG + 33)}
    deep = with_hardware({_UNKNOWN_TAG: nested(1000)})
    wide = with_hardware({702: element(der.INTEGER, b"\x01" + bytes(9))})
    return tuple(
        refused(
            number, title, attested(changed), Refusal(Reason.MALFORMED, check, has_reading=False)
        )
        for number, title, changed, check in (
            ("D22a", "a length of 2³¹", endless, "der/3-bounds"),
            ("D22b", "1000 nested sequences", deep, "der/7-depth"),
            ("D22c", "a length that is not in its shortest form", long_form, "der/2-length"),
            ("D22d", "33 unknown tags", with_hardware(crowd), "android.list/3-unknown"),
            ("D22e", "an integer of ten octets", wide, "der/6-integer"),
        )
    )


def _versions() -> tuple[Case, ...]:
    letters = "abcdefghijkl"
    return tuple(
        accepted(
            f"D25{letter}",
            f"version {version}" + ("" if version > 2 else ", without verifiedBootHash"),  # noqa: PLR2004  # the first version that has it is 3
            attested(description(version=version)),
        )
        for letter, version in zip(letters, KEYMINT_VERSIONS, strict=False)
    )


def _values() -> tuple[Case, ...]:
    sound = description()
    untagged = _with_more(integer(1))
    padded = _with_more(b"\xbf\x80\x01\x02\x05\x00")  # [1] with a leading zero
    key, _, *others = _members(root_of_trust())
    two_octets = sequence(key, element(der.BOOLEAN, b"\xff\xff"), *others)
    name = sequence(
        set_of([sequence(octet_string(b"\xff"), integer(1))]), set_of([octet_string(bytes(32))])
    )
    return tuple(
        refused(
            number, title, attested(changed), Refusal(Reason.MALFORMED, check, has_reading=False)
        )
        for number, title, changed, check in (
            (
                "D26",
                "an unknown security level",
                replace(sound, level=3),
                "android.description/2-level",
            ),
            ("D27", "a list with an element that has no tag", untagged, "android.list/1-tag"),
            ("D28", "a tag number that is not in its shortest form", padded, "der/1-tag"),
            ("D29", "an origin of another type", with_hardware({702: enumerated(0)}), "der/4-tag"),
            (
                "D30",
                "an unknown boot state",
                with_hardware({704: root_of_trust(state=4)}),
                "android.list/2-enum",
            ),
            (
                "D31",
                "a NULL with content",
                with_hardware({303: element(der.NULL, b"\0")}),
                "android.list/2-null",
            ),
            (
                "D32",
                "a package name that is no UTF-8",
                with_software({709: octet_string(name)}),
                "android.list/2-text",
            ),
            (
                "D33",
                "a BOOLEAN of two octets",
                with_hardware({704: two_octets}),
                "android.list/2-boolean",
            ),
        )
    )
