"""Hands messages to a mail server by SMTP: STARTTLS unless the settings say otherwise.

A message goes to all of its recipients or to none: where the server refuses one of them, the
message itself is not sent. One connection a message, and one time limit for all of it.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
)

from quorumkey_relay.identity.files import UnsafeFileError, read_private
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.usecases.jit.ports import MailFailed

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.jit_settings import MailSettings

#: How long the server may take to say goodbye to; the message has been taken by then.
GOODBYE_SECONDS: Final = 1.0
#: From here on a reply of SMTP is the last word (RFC 5321, section 4.2.1).
_PERMANENT: Final = 500


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """One mail server, as the settings name it."""

    settings: MailSettings
    password: str | None = field(repr=False)
    tls: ssl.SSLContext = field(repr=False)

    async def send(self, message: bytes, recipients: tuple[str, ...]) -> None:
        """Return once the server has taken the message for all recipients.

        Raises `MailFailed`. Where the time ran out while the server was reading the message, it
        may have been taken all the same.
        """
        client = self._client()
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                await client.connect()
                await self._hand_over(client, message, recipients)
            await _say_goodbye(client)
        except (SMTPException, OSError, ValueError) as error:
            raise self._failure(error) from None
        finally:
            client.close()

    def _client(self) -> SMTP:
        named = self.settings
        return SMTP(
            hostname=named.host,
            port=named.port,
            username=named.username,
            password=self.password,
            # Said to the server; by default the library asks a resolver for this machine's name.
            local_hostname=named.sender_address.rpartition("@")[2],
            timeout=named.timeout_seconds,
            use_tls=named.security == "tls",
            start_tls=named.security == "starttls",
            tls_context=None if named.security == "none" else self.tls,
        )

    async def _hand_over(self, client: SMTP, message: bytes, recipients: tuple[str, ...]) -> None:
        """Name the recipients one by one, and send nothing unless each is taken."""
        await client.ehlo()
        await client.mail(self.settings.sender_address)
        for recipient in recipients:
            await client.rcpt(recipient)
        await client.data(message)

    def _failure(self, error: Exception) -> MailFailed:
        """Say what happened without the server's own words, which repeat addresses."""
        server = f"The mail server {self.settings.host}:{self.settings.port}"
        is_final = False
        # The library wraps what TLS says while it connects, and not while it says STARTTLS.
        match error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error:
            case TimeoutError():
                said = f"did not answer within {self.settings.timeout_seconds} seconds"
            case SMTPAuthenticationError(code=code):
                said = f"refused the user name or password (SMTP {code})"
            case SMTPRecipientRefused(code=code):
                said, is_final = f"refused a recipient (SMTP {code})", code >= _PERMANENT
            case SMTPDataError(code=code):
                said, is_final = f"refused the message (SMTP {code})", code >= _PERMANENT
            case SMTPResponseException(code=code):
                said = f"refused the message (SMTP {code})"
            case ssl.SSLCertVerificationError():
                said = "showed a certificate that does not count"
            case ssl.SSLError():
                said = "did not agree on TLS"
            case OSError():
                said = "cannot be reached"
            case _:
                said = "does not offer what the settings ask of it"
        return MailFailed(f"{server} {said}.", is_final=is_final)


async def _say_goodbye(client: SMTP) -> None:
    """End the session as SMTP wants it; how that goes changes nothing."""
    with suppress(SMTPException, OSError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await client.quit()


def open_mailer(settings: MailSettings, *, roots: bytes | None) -> SmtpMailer:
    """Return a mailer; ``roots`` are certificates in PEM that count beside the public ones.

    Raises ``ConfigError``: the file of the password cannot be read. Nothing is connected.
    """
    context = ssl.create_default_context()
    if roots is not None:
        context.load_verify_locations(cadata=roots.decode("ascii"))
    path = settings.password_file
    return SmtpMailer(settings, None if path is None else _password(path), context)


def _password(path: Path) -> str:
    try:
        password = read_private(path).decode().strip()
    except UnsafeFileError as error:
        raise ConfigError((f"{error}.",)) from None
    except UnicodeDecodeError:
        password = ""
    if not password:
        raise ConfigError((f"{path} must hold a password.",))
    return password
