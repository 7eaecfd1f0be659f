"""What the e-mails about a request for a role say; all about one request are one thread.

Whatever people have written stays text: the templates escape every value, no value is looked at
for placeholders again, and no line break of a value gets into a header or the plain-text part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from quorumkey_relay.identity.email_address import email_address
from quorumkey_relay.usecases.jit.ports import Letter, MailFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.request import AccessRequest

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("quorumkey_relay.mail"),
    autoescape=select_autoescape(("html",), disabled_extensions=("txt",), default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

#: Every mail server takes lines of ASCII.
_POLICY: Final = SMTP.clone(cte_type="7bit")
#: Controls, and what else ends a line or changes the direction in which one is read.
_UNPRINTED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_SECONDS_PER_MINUTE: Final = 60
_NO_CONDITION: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterWriter:
    """Writes the e-mails.

    ``address`` says where mail for a person goes; what it raises as ``ValueError`` is a
    `MailFailed`. Dates are shown in ``zone``.
    """

    sender_address: str
    sender_name: str
    zone: ZoneInfo
    address: Callable[[str], str]

    def requested(self, request: AccessRequest, *, url: str, now: int) -> Letter:
        """Ask the reviewers, with a copy for who asks; ``url`` leads to the request."""
        begins_with_request = request.window_from == "request"
        minutes = request.duration_seconds // _SECONDS_PER_MINUTE
        start = self._date(request.start) if begins_with_request else "when it is approved"
        end = self._date(request.end) if begins_with_request else f"{minutes} minutes later"
        user, project = _line(request.beneficiary), _line(request.entitlement.project)
        return self._letter(
            "request",
            to=request.reviewers,
            copies=(request.beneficiary,),
            headers={"Subject": _subject(request), "Message-ID": self._id(request)},
            now=now,
            values={
                "title": "Access request",
                "sentence": f"{user} requests your approval to access the Google Cloud project"
                f" {project}",
                "rows": _rows(request, start, end),
                "url": url,
                "by_device": request.approval == "device",
                "expires": self._date(request.decide_by),
                "role": _line(request.entitlement.role),
            },
        )

    def approved(self, request: AccessRequest, activation: Activation, *, now: int) -> Letter:
        """Tell who asked that the role is theirs, with a copy for the reviewers."""
        return self._outcome(
            request,
            f"approved.{len(activation.approvers)}",
            title="Your request was approved",
            said=f"{_listed(activation.approvers)} approved",
            rows=_rows(request, self._date(activation.start), self._date(activation.end)),
            now=now,
        )

    def denied(self, request: AccessRequest, *, reviewer: str, now: int) -> Letter:
        """Tell who asked that a reviewer denied it, with a copy for the reviewers."""
        rows = [row for row in _rows(request, "", "") if row[0] not in {"Start", "End"}]
        return self._outcome(
            request,
            "denied",
            title="Your request was denied",
            said=f"{_line(reviewer)} denied",
            rows=rows,
            now=now,
        )

    def _outcome(  # noqa: PLR0913 - what differs between the outcomes
        self,
        request: AccessRequest,
        kind: str,
        *,
        title: str,
        said: str,
        rows: Sequence[tuple[str, str]],
        now: int,
    ) -> Letter:
        """Answer the e-mail that asked (RFC 5322, section 3.6.4)."""
        asked = self._id(request)
        project = _line(request.entitlement.project)
        return self._letter(
            "outcome",
            to=(request.beneficiary,),
            copies=request.reviewers,
            headers={
                "Subject": f"Re: {_subject(request)}",
                "Message-ID": self._id(request, kind),
                "In-Reply-To": asked,
                "References": asked,
            },
            now=now,
            values={
                "title": title,
                "sentence": f"{said} your request to access the Google Cloud project {project}",
                "rows": rows,
            },
        )

    def _letter(  # noqa: PLR0913 - the parts of a message
        self,
        template: str,
        *,
        to: Sequence[str],
        copies: Sequence[str],
        headers: Mapping[str, str],
        now: int,
        values: Mapping[str, object],
    ) -> Letter:
        direct, copied = self._addresses(to), self._addresses(copies)
        message = EmailMessage(policy=_POLICY)
        message["From"] = Address(_header(self.sender_name), addr_spec=self.sender_address)
        message["To"] = direct
        message["Cc"] = copied
        message["Date"] = self._moment(now)
        for name, value in headers.items():
            message[name] = value
        message["Precedence"] = "bulk"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
        message.set_content(_ENVIRONMENT.get_template(f"{template}.txt").render(values))
        message.add_alternative(
            _ENVIRONMENT.get_template(f"{template}.html").render(values), subtype="html"
        )
        recipients = dict.fromkeys(one.addr_spec for one in (*direct, *copied))
        return Letter(tuple(recipients), message.as_bytes())

    def _addresses(self, people: Sequence[str]) -> tuple[Address, ...]:
        return tuple(self._mailbox(person) for person in people)

    def _mailbox(self, person: str) -> Address:
        """Return where mail for a person goes; the message names nobody."""
        try:
            address = self.address(person)
            if email_address(address) is not None:
                return Address(addr_spec=address)
        except (ValueError, HeaderParseError):
            pass
        raise MailFailed("Somebody has no e-mail address that mail can go to.", is_final=True)

    def _id(self, request: AccessRequest, kind: str = "") -> str:
        """Return the Message-ID of a letter about a request; the same for the same letter."""
        left = quote(request.id, safe="+/=")
        host = self.sender_address.rpartition("@")[2]
        return f"<{left}{f'.{kind}' if kind else ''}@{host}>"

    def _moment(self, seconds: int) -> datetime:
        return datetime.fromtimestamp(seconds, UTC).astimezone(self.zone)

    def _date(self, seconds: int) -> str:
        """Return a date of RFC 1123 in the time zone of the settings."""
        moment = self._moment(seconds)
        if moment.utcoffset():
            return format_datetime(moment)
        return format_datetime(moment.astimezone(UTC), usegmt=True)


def _line(text: str) -> str:
    """Return a text of somebody on one line, in the order in which it is written."""
    return _UNPRINTED.sub(" ", text)


def _header(text: str) -> str:
    """Return a text of somebody as a header takes it.

    Python reads encoded words (RFC 2047) in what a header is set to, and writes what they stand for
    out again, line breaks too. So what begins one is pulled apart.
    """
    return _line(text).replace("=?", "= ?")


def _listed(people: Sequence[str]) -> str:
    *others, last = (_line(person) for person in people)
    return f"{', '.join(others)} and {last}" if others else last


def _subject(request: AccessRequest) -> str:
    entitlement = request.entitlement
    return _header(f"{request.beneficiary} requests access to project {entitlement.project}")


def _rows(request: AccessRequest, start: str, end: str) -> list[tuple[str, str]]:
    entitlement = request.entitlement
    return [
        ("User", _line(request.beneficiary)),
        ("Project", _line(entitlement.project)),
        ("Role", _line(entitlement.role)),
        ("Resource Condition", _line(entitlement.condition) or _NO_CONDITION),
        ("Start", start),
        ("End", end),
        ("Justification", _line(request.justification)),
    ]
