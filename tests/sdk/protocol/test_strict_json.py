from __future__ import annotations

from typing import cast

import pytest

from quorumkey.errors import ProtocolError
from quorumkey.protocol import JsonValue, strict_json


def test_size_is_counted_in_bytes() -> None:
    """A document of exactly the limit is read; one byte more is too large, whatever it is."""
    text = '"é"'.encode()

    assert "é" == strict_json.loads(text, max_bytes=4)
    with pytest.raises(ProtocolError, match="larger than 3 bytes") as caught:
        strict_json.loads(text, max_bytes=3)
    assert "payload_too_large" == caught.value.code
    with pytest.raises(ProtocolError) as caught:
        strict_json.loads(b"\xff" * 4, max_bytes=3)
    assert "payload_too_large" == caught.value.code


def test_depth_is_the_callers() -> None:
    """The outermost container counts as one."""
    assert [[1], "[["] == strict_json.loads(b'[[1],"[["]', max_bytes=99, max_depth=2)
    with pytest.raises(ProtocolError, match="nested deeper than 1"):
        strict_json.loads(b"[[1]]", max_bytes=99, max_depth=1)
    assert 1 == strict_json.loads(b"1", max_bytes=99, max_depth=0)
    with pytest.raises(ProtocolError, match="nested deeper than 0"):
        strict_json.loads(b"{}", max_bytes=99, max_depth=0)


def test_error_hides_its_cause() -> None:
    """No foreign exception travels with the error, so no input is quoted in a traceback."""
    for data in (b"\xff", b"{", b"[" * 100_000, b'{"a":1,"a":1}', b"1.5", rb'"\ud800"'):
        with pytest.raises(ProtocolError) as caught:
            strict_json.loads(data, max_bytes=200_000)

        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_dumps_is_compact_and_unescaped() -> None:
    """What is written has no white space, no ASCII escapes and the given order."""
    value: JsonValue = {"z": [1, True, None], "a": "é😀\n"}

    assert '{"z":[1,true,null],"a":"é😀\\n"}'.encode() == strict_json.dumps(value)


def test_dumps_refuses_what_loads_would() -> None:
    """A lone surrogate, a foreign object, NaN and bottomless nesting are not written."""
    endless: list[JsonValue] = []
    endless.append(endless)
    for value in ("\ud800", object(), float("nan"), endless):
        with pytest.raises(ProtocolError) as caught:
            strict_json.dumps(cast("JsonValue", value))

        assert "invalid_json" == caught.value.code
