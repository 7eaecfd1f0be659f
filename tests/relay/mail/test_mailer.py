"""Messages and a real mail server (C40)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.relay.mail.mail_server import HOST, Behaviour, MailServer, Taken, mail_server

from quorumkey_relay.jit_settings import MailSettings
from quorumkey_relay.mail.mailer import SmtpMailer, open_mailer
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.standins import credentials
from quorumkey_relay.usecases.jit.ports import MailFailed

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from quorumkey_relay.standins.credentials import Files

pytestmark = pytest.mark.anyio

MESSAGE = b"Subject: Hello\r\n\r\n.A line that begins with a point\r\n"
BOTH = ("bob@example.com", "alice@example.com")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A root of tests, and a server's certificate under it."""
    made = credentials.Files(tmp_path_factory.mktemp("tls"))
    credentials.prepare(made)
    return made


@pytest.fixture(scope="module")
def tls(files: Files) -> ssl.SSLContext:
    """The server's side of TLS."""
    return credentials.server_context(files)


def mailer_of(server: MailServer, files: Files | None = None, **changes: object) -> SmtpMailer:
    """Return a mailer that sends to a server; the root of tests counts where files are given."""
    members = {
        "sender_address": "relay@quorumkey.example",
        "host": server.behaviour.host,
        "port": server.port,
        "security": "starttls",
        "timeout_seconds": 5,
        **changes,
    }
    roots = None if files is None else files.ca_file.read_bytes()
    return open_mailer(MailSettings(**members), roots=roots)  # type: ignore[arg-type]  # checked by name


async def failure(mailer: SmtpMailer, recipients: tuple[str, ...] = BOTH) -> MailFailed:
    """Return why a message is not sent."""
    with pytest.raises(MailFailed) as caught:
        await mailer.send(MESSAGE, recipients)
    return caught.value


async def test_c40_starttls_is_the_default(files: Files, tls: ssl.SSLContext) -> None:
    """By default the connection is encrypted by STARTTLS before anything is said of the mail."""
    assert ("smtp.gmail.com", 587, "starttls") == (
        MailSettings(sender_address="a@b").host,
        MailSettings(sender_address="a@b").port,
        MailSettings(sender_address="a@b").security,
    )

    with mail_server(Behaviour(starttls=tls)) as server:
        await mailer_of(server, files).send(MESSAGE, BOTH)

    assert [
        Taken("relay@quorumkey.example", BOTH, MESSAGE, was_encrypted=True, was_logged_in=False)
    ] == server.taken
    assert {"quorumkey.example"} == set(server.said_hello)


async def test_c40_tls_from_the_first_byte(files: Files, tls: ssl.SSLContext) -> None:
    """With security tls there is no plain text at all."""
    with mail_server(Behaviour(tls=tls)) as server:
        await mailer_of(server, files, security="tls").send(MESSAGE, BOTH)

    assert [True] == [one.was_encrypted for one in server.taken]


async def test_c40_password_from_a_file(files: Files, tls: ssl.SSLContext, tmp_path: Path) -> None:
    """The user name and the password of a private file log in, once TLS is on."""
    path = tmp_path / "password"
    path.write_text("sesame\n")
    path.chmod(0o600)
    with mail_server(Behaviour(starttls=tls, login=("quorumkey", "sesame"))) as server:
        mailer = mailer_of(server, files, username="quorumkey", password_file=path)
        await mailer.send(MESSAGE, BOTH)

    assert [(True, True)] == [(one.was_encrypted, one.was_logged_in) for one in server.taken]
    assert "sesame" not in repr(mailer)


async def test_a_wrong_password_is_tried_again(
    files: Files, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """A refused password is the operator's to mend, so the mail waits."""
    path = tmp_path / "password"
    path.write_text("wrong")
    path.chmod(0o600)
    with mail_server(Behaviour(starttls=tls, login=("quorumkey", "sesame"))) as server:
        found = await failure(mailer_of(server, files, username="quorumkey", password_file=path))

    assert (False, f"The mail server {HOST}:{server.port} refused the user name or password") == (
        found.is_final,
        found.message.partition(" (SMTP 535)")[0],
    )
    assert [] == server.taken


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        pytest.param(0o644, b"sesame", id="readable-by-others"),
        pytest.param(0o600, b" \n", id="empty"),
        pytest.param(0o600, b"\xff\xfe", id="no-text"),
    ],
)
def test_password_files_that_do_not_count(tmp_path: Path, mode: int, text: bytes) -> None:
    """A password that others can read, or none, keeps the relay from starting."""
    path = tmp_path / "password"
    path.write_bytes(text)
    path.chmod(mode)
    with pytest.raises(ConfigError):
        open_mailer(
            MailSettings(sender_address="a@b.example", username="a", password_file=path), roots=None
        )


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_nobody(tls: ssl.SSLContext, security: str) -> None:
    """A server whose certificate no known root vouches for is sent nothing."""
    behaviour = Behaviour(starttls=tls) if security == "starttls" else Behaviour(tls=tls)
    with mail_server(behaviour) as server:
        found = await failure(mailer_of(server, security=security))

    assert "showed a certificate that does not count" in found.message
    assert not found.is_final
    assert [] == server.taken


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_somebody_else(
    files: Files, tls: ssl.SSLContext, security: str
) -> None:
    """A server that shows the certificate of another host is sent nothing, whoever signed it."""
    starttls, whole = (tls, None) if security == "starttls" else (None, tls)
    elsewhere = Behaviour(starttls=starttls, tls=whole, host="127.0.0.2")
    with mail_server(elsewhere) as server:
        found = await failure(mailer_of(server, files, security=security))

    assert "showed a certificate that does not count" in found.message
    assert [] == server.taken


async def test_tls_where_there_is_none(files: Files) -> None:
    """A server that does not speak TLS where it should is sent nothing."""
    with mail_server() as server:
        found = await failure(mailer_of(server, files, security="tls"))

    assert "did not agree on TLS" in found.message
    assert [] == server.taken


async def test_no_starttls_no_mail(files: Files) -> None:
    """A server that offers no STARTTLS is sent nothing, so nobody can take it away in between."""
    with mail_server() as server:
        found = await failure(mailer_of(server, files))

    assert "does not offer what the settings ask of it" in found.message
    assert not found.is_final
    assert [] == server.taken


async def test_a_refused_recipient_refuses_all() -> None:
    """Where one recipient is refused the message goes to nobody: not the half of it is made."""
    with mail_server(Behaviour(replies={"alice@example.com": "550 unknown"})) as server:
        found = await failure(mailer_of(server, security="none"))

    assert [] == server.taken
    assert (True, True) == (found.is_final, "refused a recipient (SMTP 550)" in found.message)
    assert "alice" not in found.message


@pytest.mark.parametrize(
    ("command", "reply", "is_final"),
    [
        pytest.param("bob@example.com", "451 come back later", False, id="greylisting"),
        pytest.param("MAIL", "550 not you", False, id="sender-refused"),
        pytest.param("DATA", "452 disk full", False, id="full"),
        pytest.param("DATA", "554 spam", True, id="message-refused"),
    ],
)
async def test_replies(command: str, reply: str, *, is_final: bool) -> None:
    """What a server says of this message for good is final; anything else is tried again."""
    with mail_server(Behaviour(replies={command: reply})) as server:
        found = await failure(mailer_of(server, security="none"))

    assert [] == server.taken
    assert is_final == found.is_final
    assert f"(SMTP {reply[:3]})" in found.message
    assert reply[4:] not in found.message


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "bob@example.com", "DATA"])
async def test_a_server_that_hangs(command: str) -> None:
    """A server that stops answering costs the time limit and no more."""
    with mail_server(Behaviour(hangs_at=command)) as server:
        found = await failure(mailer_of(server, security="none", timeout_seconds=1))

    assert (False, True) == (found.is_final, "did not answer within 1 seconds" in found.message)


async def test_a_server_that_is_down() -> None:
    """Where nobody listens the failure says so, and may be over later."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        mailer = mailer_of(MailServer(Behaviour(), port), security="none")
        found = await failure(mailer)

    assert (False, f"The mail server {HOST}:{port} cannot be reached.") == (
        found.is_final,
        found.message,
    )
