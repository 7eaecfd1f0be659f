"""An endpoint on loopback that remembers what reached it and answers as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def answer(status: int, *headers: str, body: bytes = b"") -> bytes:
    """An answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Received:
    """One request: its target, its headers with lower-case names, its body."""

    target: str
    headers: dict[str, str]
    body: bytes


Answering = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """Counts connections and keeps requests; ``answers`` are given in turn, the last for ever."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.connections = 0
        self.ended_early = 0
        self.received: list[Received] = []
        self.answers: list[bytes] = [OK]
        self.by_hand: Answering | None = None
        self.news = asyncio.Condition()

    @property
    def url(self) -> str:
        """Its address in plain http."""
        return f"http://localhost:{self.port}/hooks?key=c4n4ry"

    async def got(self, count: int) -> list[Received]:
        """What has reached it, once that is so much."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def cut_off(self) -> None:
        """Return once a caller has gone before its answer had ended."""
        async with self.news:
            await self.news.wait_for(lambda: self.ended_early > 0)

    def held(self, given: bytes = OK) -> asyncio.Event:
        """Have what comes from now on wait for an event before it is answered."""
        release = asyncio.Event()

        async def hold(_: object, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            writer.write(given)

        self.by_hand = hold
        return release

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes over one connection."""
        self.connections += 1
        try:
            while True:
                received = await _read(reader)
                self.received.append(received)
                async with self.news:
                    self.news.notify_all()
                if self.by_hand is not None:
                    await self.by_hand(received, writer)
                else:
                    is_last = len(self.answers) == 1
                    writer.write(self.answers[0] if is_last else self.answers.pop(0))
                    await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        except ConnectionError:
            self.ended_early += 1
            async with self.news:
                self.news.notify_all()
        finally:
            # Not closed with good manners: a TLS farewell could outlive the test's loop.
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(head[0].split(" ")[1], headers, body)


@asynccontextmanager
async def receiving(
    context: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[Receiver, None]:
    """Listen until the end of the block."""
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(receiver.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, host, port, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, bytes]:
    """A server's context with a certificate for ``name``, and the root that it stands under."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Loopback root")])
    now = datetime.now(tz=UTC)  # the client's TLS library reads the clock itself
    own = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    root = (
        _begun(subject, subject, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(own, critical=True)
        .sign(key, hashes.SHA256())
    )
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Loopback leaf")])
    leaf = (
        _begun(leaf_name, subject, leaf_key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        leaf_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, root.public_bytes(serialization.Encoding.PEM)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
