"""HPACK (RFC 7541) for a server that is measured against: as ``hpack`` does it, with less work.

The dynamic table stays ``hpack``'s. What is read here are the representations around it, and
Huffman codes a byte at a time instead of four bits at a time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKDecodingError, InvalidTableSizeError, OversizedHeaderListError
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable

_END_OF_STRING: Final = 256
_MAX_PADDING_BITS: Final = 7
_ENTRY_OVERHEAD_BYTES: Final = 32  # section 4.1
#: Strings from this length on are worth remembering: they are credentials.
_LONG_BYTES: Final = 96
_REMEMBERED: Final = 64
_OK_INDEXED: Final = b"\x88"  # ":status: 200" of the static table
_STATUS_NAME: Final = b"\x08"  # a literal with the name ":status"
_NEW_NAME: Final = b"\x00"
_ONE_BYTE: Final = 127


class _Codes(dict[int, list[tuple[bytes, int]]]):
    """By state, which is a node of the code's tree: what each byte yields, and the next state."""

    def __init__(self) -> None:
        super().__init__()
        self._children: list[list[int]] = [[0, 0]]  # 0 is the root, which is nobody's child
        self._symbols: dict[int, int] = {}
        for symbol, code in enumerate(REQUEST_CODES):
            node = 0
            for bit in range(REQUEST_CODES_LENGTH[symbol] - 1, -1, -1):
                side = code >> bit & 1
                if not self._children[node][side]:
                    self._children.append([0, 0])
                    self._children[node][side] = len(self._children) - 1
                node = self._children[node][side]
            self._symbols[node] = symbol
        #: Where a string may end: fewer than eight bits into the code of its end (section 5.2).
        self.ends = {0}
        node = 0
        for _ in range(_MAX_PADDING_BITS):
            node = self._children[node][1]
            self.ends.add(node)

    def __missing__(self, state: int) -> list[tuple[bytes, int]]:
        row = [self._step(state, byte) for byte in range(256)]
        self[state] = row
        return row

    def _step(self, state: int, byte: int) -> tuple[bytes, int]:
        """Return what a byte yields, with the state -1 where it cannot stand."""
        out = bytearray()
        node = state
        for bit in range(7, -1, -1):
            node = self._children[node][byte >> bit & 1] if node >= 0 else -1
            symbol = self._symbols.get(node)
            if symbol == _END_OF_STRING:
                node = -1
            elif symbol is not None:
                out.append(symbol)
                node = 0
        return bytes(out), node


_CODES: Final = _Codes()


def huffman_decoded(data: bytes) -> bytes:
    """Return the text of a Huffman-coded string; raises ``HPACKDecodingError``."""
    return _remembered(data) if len(data) >= _LONG_BYTES else _decoded(data)


def _decoded(data: bytes) -> bytes:
    codes = _CODES
    out: list[bytes] = []
    state = 0
    for byte in data:
        if state < 0:
            break
        piece, state = codes[state][byte]
        out.append(piece)
    if state not in codes.ends:
        raise HPACKDecodingError("Invalid Huffman string")
    return b"".join(out)


_remembered = lru_cache(_REMEMBERED)(_decoded)


class QuickDecoder(Decoder):
    """Reads header blocks."""

    def decode(self, data: bytes, raw: bool = False) -> Iterable[tuple[bytes, bytes]]:  # type: ignore[override]  # noqa: FBT001, FBT002 - hpack's signature, whose pairs are of a class of their own
        """Return the block's headers in order, as bytes; raises ``HPACKError``."""
        del raw
        headers: list[tuple[bytes, bytes]] = []
        table = self.header_table
        position = size = 0
        end = len(data)
        while position < end:
            first = data[position]
            if first & 0x80:
                index, position = _integer(data, position, 0x7F)
                name, value = table.get_by_index(index)
            elif first & 0xE0 == 0x20:  # noqa: PLR2004 - section 6.3
                if headers:
                    raise HPACKDecodingError("Table size update after a header")
                new_size, position = _integer(data, position, 0x1F)
                if new_size > self.max_allowed_table_size:
                    raise InvalidTableSizeError("Table larger than allowed")
                self.header_table_size = new_size
                continue
            else:
                is_added = first & 0x40
                index, position = _integer(data, position, 0x3F if is_added else 0x0F)
                if index:
                    name = table.get_by_index(index)[0]
                else:
                    name, position = _string(data, position)
                value, position = _string(data, position)
                if is_added:
                    table.add(name, value)
            headers.append((name, value))
            size += len(name) + len(value) + _ENTRY_OVERHEAD_BYTES
            if size > self.max_header_list_size:
                raise OversizedHeaderListError("Header list larger than allowed")
        if self.header_table_size > self.max_allowed_table_size:
            raise InvalidTableSizeError("Table not shrunk as asked for")
        return headers


class PlainEncoder(Encoder):
    """Writes header blocks of literals, which need no table."""

    def encode(self, headers: Iterable[tuple[bytes, bytes]], huffman: bool = True) -> bytes:  # type: ignore[override]  # noqa: FBT001, FBT002 - hpack's signature, which allows more
        """Return the block."""
        del huffman
        block: list[bytes] = []
        for name, value in headers:
            if name != b":status":
                block += _NEW_NAME, _literal(name), _literal(value)
            elif value == b"200":
                block.append(_OK_INDEXED)
            else:
                block += _STATUS_NAME, _literal(value)
        return b"".join(block)


def _literal(data: bytes) -> bytes:
    """Return a string literal without Huffman coding (section 5.2)."""
    length = len(data)
    if length < _ONE_BYTE:
        return bytes((length,)) + data
    rest = length - _ONE_BYTE
    head = bytearray((_ONE_BYTE,))
    while rest >= 0x80:  # noqa: PLR2004 - section 5.1
        head.append(rest & 0x7F | 0x80)
        rest >>= 7
    head.append(rest)
    return bytes(head) + data


def _integer(data: bytes, position: int, mask: int) -> tuple[int, int]:
    """Return the integer at ``position`` and where it ends (section 5.1)."""
    try:
        value = data[position] & mask
        position += 1
        if value < mask:
            return value, position
        shift = 0
        while True:
            byte = data[position]
            position += 1
            value += (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the last byte
                return value, position
            shift += 7
    except IndexError:
        raise HPACKDecodingError("Truncated integer") from None


def _string(data: bytes, position: int) -> tuple[bytes, int]:
    """Return the string literal at ``position`` and where it ends (section 5.2)."""
    if position >= len(data):
        raise HPACKDecodingError("Truncated header block")
    is_coded = data[position] & 0x80
    length, position = _integer(data, position, 0x7F)
    end = position + length
    if end > len(data):
        raise HPACKDecodingError("Truncated string")
    text = data[position:end]
    return huffman_decoded(text) if is_coded else text, end
