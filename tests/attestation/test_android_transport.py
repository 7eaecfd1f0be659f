"""Tests of quorumkey_attestation.android.transport against a real server on the loopback."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from quorumkey_attestation.android.fetch import RevocationFetcher
from quorumkey_attestation.android.transport import HttpsTransport
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.android import status_list

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, in one PEM file."""
    key = pki.private_key("loopback server")
    name = pki.name("Quorumkey UNSAFE test loopback server")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    return path


class Server:
    """Answers one connection with fixed octets, and keeps what it was asked."""

    def __init__(
        self, credentials: Path, answer: bytes, *, hold: bool = False, drip: bytes = b""
    ) -> None:
        self.asked = b""
        self._answer = answer
        self._hold = hold
        self._drip = drip
        self.released = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(credentials)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/attestation/status?x=1"
        self._thread = threading.Thread(target=self._serve)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of the client, and wait until the thread has ended."""
        self.released.set()
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        try:
            plain, _ = self._listener.accept()
        except OSError:
            return  # the client never came
        plain.settimeout(10)
        try:
            with plain, self._context.wrap_socket(plain, server_side=True) as connection:
                while b"\r\n\r\n" not in self.asked:
                    if not (piece := connection.recv(4096)):
                        return
                    self.asked += piece
                connection.sendall(self._answer)
                while self._drip and not self.released.wait(0.02):
                    connection.sendall(self._drip)
                if self._hold:
                    self.released.wait(10)
        except OSError:
            return  # the client has hung up, as some tests want


@contextmanager
def serving(
    credentials: Path, answer: bytes, *, hold: bool = False, drip: bytes = b""
) -> Generator[Server]:
    """Run a server for the time of a test."""
    server = Server(credentials, answer, hold=hold, drip=drip)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An HTTP answer with these header fields."""
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))
    return head.encode() + b"\r\n\r\n" + body


def transport(credentials: Path, *, timeout: float = 10, max_bytes: int = 10_000) -> HttpsTransport:
    """A transport that trusts the loopback server."""
    context = ssl.create_default_context(cafile=str(credentials))
    return HttpsTransport(timeout=timeout, max_bytes=max_bytes, context=context)


def test_answer(credentials: Path) -> None:
    """Status, header fields and content come back, and what was asked is plain."""
    with serving(credentials, answer(b"{}", "Cache-Control: max-age=60", "ETag: x")) as server:
        response = transport(credentials)(server.url, {"If-None-Match": '"v1"'})

    assert (200, b"{}") == (response.status, response.body)
    assert ("max-age=60", "x") == (response.headers["cache-control"], response.headers["etag"])
    assert server.asked.startswith(b"GET /attestation/status?x=1 HTTP/1.1\r\n")
    assert b'If-None-Match: "v1"\r\n' in server.asked
    assert b"Accept-Encoding: identity\r\n" in server.asked


def test_environment_is_not_asked(credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not used: the server itself is asked."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with serving(credentials, answer(b"{}")) as server:
        response = transport(credentials)(server.url, {})

    assert 200 == response.status


def test_redirect_is_an_answer(credentials: Path) -> None:
    """A redirect is handed back as it is, and not followed."""
    moved = answer(b"", "Location: https://127.0.0.1:9/", status="302 Found")
    with serving(credentials, moved) as server:
        response = transport(credentials)(server.url, {})

    assert 302 == response.status


def test_unknown_server(credentials: Path) -> None:
    """A server whose certificate nobody vouches for is no answer."""
    with (
        serving(credentials, answer(b"{}")) as server,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        HttpsTransport(timeout=10)(server.url, {})


def test_too_large(credentials: Path) -> None:
    """Content beyond the greatest size is given up, whatever length was declared."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + b" " * 64 + b"\r\n"
    for octets in (answer(b" " * 64), chunked):
        with serving(credentials, octets) as server, pytest.raises(OSError, match="larger"):
            transport(credentials, max_bytes=63)(server.url, {})


def test_cut_off(credentials: Path) -> None:
    """Content that ends before its declared length is no answer."""
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"
    with serving(credentials, short) as server, pytest.raises(OSError, match=r"cut off|EOF"):
        transport(credentials)(server.url, {})


def test_compressed(credentials: Path) -> None:
    """Compressed content, which was not asked for, is no answer."""
    with (
        serving(credentials, answer(b"x", "Content-Encoding: gzip")) as server,
        pytest.raises(OSError, match="compressed"),
    ):
        transport(credentials)(server.url, {})


def test_not_http(credentials: Path) -> None:
    """What is not HTTP is no answer."""
    with serving(credentials, b"hello\r\n\r\n") as server, pytest.raises(OSError, match="not HTTP"):
        transport(credentials)(server.url, {})


def test_silence(credentials: Path) -> None:
    """A server that falls silent is given up after the timeout."""
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"
    with serving(credentials, half, hold=True) as server, pytest.raises(TimeoutError):
        transport(credentials, timeout=0.2)(server.url, {})


def test_dripping(credentials: Path) -> None:
    """A server that keeps sending a little is given up when the time for the whole is over."""
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"
    with (
        serving(credentials, endless, drip=b" ") as server,
        pytest.raises(TimeoutError),
    ):
        transport(credentials, timeout=0.3)(server.url, {})


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "file:///etc/hosts", "https://", "status"])
def test_https_only(url: str) -> None:
    """Any other address than one of HTTPS is the caller's mistake."""
    with pytest.raises(ValueError, match="https"):
        HttpsTransport()(url, {})


def test_impossible_bounds() -> None:
    """No time and no size are the caller's mistakes."""
    with pytest.raises(ValueError, match="positive"):
        HttpsTransport(timeout=0)
    with pytest.raises(ValueError, match="positive"):
        HttpsTransport(max_bytes=0)


def test_fetcher_over_https(credentials: Path) -> None:
    """Fetcher and transport together bring the list from a server."""
    listed = answer(status_list({"c0ffee": "REVOKED"}), "Cache-Control: max-age=60")
    with serving(credentials, listed) as server:
        revocation = RevocationFetcher(transport(credentials), url=server.url).current()

    assert revocation.check(0xC0FFEE) is not None
