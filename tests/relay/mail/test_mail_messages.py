"""What the e-mails about requests for roles say (C35, C36, C38)."""

from __future__ import annotations

from email import message_from_bytes, policy
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec
import pytest

from quorumkey_relay.domain.jit.activation import Activation
from quorumkey_relay.domain.jit.entitlement import EntitlementId
from quorumkey_relay.domain.jit.request import AccessRequest
from quorumkey_relay.mail.messages import LetterWriter
from quorumkey_relay.usecases.jit.ports import MailFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage

    from quorumkey_relay.usecases.jit.ports import Letter

START = 1_800_000_000  # Fri, 15 Jan 2027 08:00:00 GMT
URL = "https://relay.example/jit/?activation=a~b~c&projectId=project-1"
WHAT = "your request to access the Google Cloud project project-1"
REASON = "so you can approve it for others."
REQUEST = AccessRequest(
    id="mpa-AbC+/defGHIjklMN",
    integrator_id="0190a000-0000-7000-8000-000000000001",
    beneficiary="alice@example.com",
    entitlement=EntitlementId("project-1", "roles/compute.admin"),
    reviewers=("bob@example.com", "carol@example.com"),
    required=1,
    reject_policy="any",
    justification="BUG-12345",
    window_from="request",
    start=START,
    duration_seconds=3_600,
    created_at=START,
    expires_at=START + 1_800,
    approval="click",
)
ACTIVATION = Activation(
    activation_id="0190a000-0000-7000-8000-000000000009",
    integrator_id=REQUEST.integrator_id,
    beneficiary=REQUEST.beneficiary,
    entitlement=REQUEST.entitlement,
    justification=REQUEST.justification,
    approvers=("bob@example.com",),
    executor="google",
    start=START,
    end=START + 3_600,
    created_at=START + 60,
    access_request=REQUEST.id,
)


class Shown(HTMLParser):
    """The text and the tags of a page, as a browser reads them."""

    def __init__(self, page: str) -> None:
        """Read all of it."""
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.links.extend(value or "" for name, value in attrs if name == "href")

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if data.strip():
            self.texts.append(data.strip())


def itself(person: str) -> str:
    """Return the address of somebody who reads mail where they sign in."""
    return person


def writer(
    zone: str = "UTC", *, name: str = "Quorumkey", address: Callable[[str], str] = itself
) -> LetterWriter:
    """Return a writer."""
    return LetterWriter(
        sender_address="relay@quorumkey.example",
        sender_name=name,
        zone=ZoneInfo(zone),
        address=address,
    )


def somewhere(_person: str) -> str:
    """Return one address for everybody."""
    return "somewhere@example.com"


def opened(letter: Letter) -> EmailMessage:
    """Read a letter as a mail program does."""
    return message_from_bytes(letter.message, policy=policy.default)


def page(letter: Letter) -> Shown:
    """Return the HTML part."""
    part = opened(letter).get_body(("html",))
    assert part is not None
    return Shown(part.get_content())


def plain(letter: Letter) -> str:
    """Return the plain-text part."""
    part = opened(letter).get_body(("plain",))
    assert part is not None
    text = part.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


def requested(request: AccessRequest = REQUEST, zone: str = "UTC") -> Letter:
    """Return the mail that asks."""
    return writer(zone).requested(request, url=URL, now=START)


def approved(activation: Activation = ACTIVATION) -> Letter:
    """Return the mail that tells of an approval."""
    return writer().approved(REQUEST, activation, now=START + 60)


def denied() -> Letter:
    """Return the mail that tells of a denial."""
    return writer().denied(REQUEST, reviewer="bob@example.com", now=START + 60)


def heads(letter: Letter, *names: str) -> list[str]:
    """Return headers as a mail program shows them."""
    found = opened(letter)
    return [str(found[name]) for name in names]


def test_c35_who_gets_the_request() -> None:
    """The request goes to the reviewers with a copy for the requester, under C35's subject."""
    letter = requested()

    assert [
        "Quorumkey <relay@quorumkey.example>",
        "bob@example.com, carol@example.com",
        "alice@example.com",
        "alice@example.com requests access to project project-1",
        "bulk",
    ] == heads(letter, "From", "To", "Cc", "Subject", "Precedence")
    assert ("bob@example.com", "carol@example.com", "alice@example.com") == letter.recipients


def test_c35_what_the_request_says() -> None:
    """The page has C35's heading, sentence, table, button, expiry and reason, in that order."""
    shown = page(requested())

    assert [
        "Access request",
        "Access request",
        "alice@example.com requests your approval to access the Google Cloud project project-1",
        *("User", "alice@example.com"),
        *("Project", "project-1"),
        *("Role", "roles/compute.admin"),
        *("Resource Condition", "none"),
        *("Start", "Fri, 15 Jan 2027 08:00:00 GMT"),
        *("End", "Fri, 15 Jan 2027 09:00:00 GMT"),
        *("Justification", "BUG-12345"),
        "View request",
        "This request automatically expires on Fri, 15 Jan 2027 08:30:00 GMT.",
        "Why am I seeing this?",
        f"You also have roles/compute.admin access to this project, {REASON}",
    ] == shown.texts
    assert [URL] == shown.links


def test_c35_plain_text_says_the_same() -> None:
    """Who reads plain text reads every text of the page, and the link."""
    letter = requested()
    text = plain(letter)

    assert [] == [said for said in page(letter).texts if said not in text]
    assert f"View request: {URL}\n" in text


def test_c35_dates_are_shown_in_the_time_zone() -> None:
    """Dates are RFC 1123 in the time zone of the settings; in UTC they end in GMT."""
    letter = requested(zone="Europe/Berlin")

    assert "Start: Fri, 15 Jan 2027 09:00:00 +0100\n" in plain(letter)
    assert ["Fri, 15 Jan 2027 09:00:00 +0100"] == heads(letter, "Date")


def test_c35_resource_condition() -> None:
    """A role that is limited to some resources says to which."""
    entitlement = EntitlementId("project-1", "roles/viewer", 'resource.name == "a" && 1 < 2')
    request = msgspec.structs.replace(REQUEST, entitlement=entitlement)

    texts = page(requested(request)).texts

    assert entitlement.condition == texts[texts.index("Resource Condition") + 1]


def test_window_from_the_approval() -> None:
    """Where the time begins with the approval, no date is promised."""
    request = msgspec.structs.replace(REQUEST, window_from="approval")

    text = plain(requested(request))

    assert "Start: when it is approved\nEnd: 60 minutes later\n" in text


def test_c35_a_request_expires_with_the_time_it_is_for() -> None:
    """A request for less time than there is to decide expires when that time is over."""
    request = msgspec.structs.replace(REQUEST, duration_seconds=600)

    assert "expires on Fri, 15 Jan 2027 08:10:00 GMT.\n" in plain(requested(request))


def test_device_requests_say_where_they_are_decided() -> None:
    """Where devices decide, the mail says so."""
    sentence = "The decision is made, and signed, on one of your devices."

    by_device = msgspec.structs.replace(REQUEST, approval="device")

    assert (False, True) == (
        sentence in plain(requested()),
        sentence in plain(requested(by_device)) and sentence in page(requested(by_device)).texts,
    )


def test_c36_who_hears_of_the_approval() -> None:
    """The approval goes to the requester with a copy for the reviewers, as an answer."""
    letter = approved()

    assert [
        "alice@example.com",
        "bob@example.com, carol@example.com",
        "Re: alice@example.com requests access to project project-1",
        "bulk",
    ] == heads(letter, "To", "Cc", "Subject", "Precedence")
    assert ("alice@example.com", "bob@example.com", "carol@example.com") == letter.recipients


def test_c36_the_thread() -> None:
    """Approvals and denials answer the request's mail, and each letter has an id of its own."""
    (asked,) = heads(requested(), "Message-ID")

    assert "<mpa-AbC+/defGHIjklMN@quorumkey.example>" == asked
    assert [asked, asked] == heads(approved(), "In-Reply-To", "References")
    assert [asked, asked] == heads(denied(), "In-Reply-To", "References")
    ids = [*heads(approved(), "Message-ID"), *heads(denied(), "Message-ID"), asked]
    assert 3 == len(set(ids))
    assert heads(approved(), "Message-ID") == heads(approved(), "Message-ID")


def test_c36_what_the_approval_says() -> None:
    """The page says who approved, and the time that the requester really has."""
    late = msgspec.structs.replace(
        ACTIVATION, approvers=("bob@example.com", "carol@example.com"), start=START + 60
    )

    shown = page(approved(late))

    assert [
        "Your request was approved",
        "Your request was approved",
        f"bob@example.com and carol@example.com approved {WHAT}",
    ] == shown.texts[:3]
    assert "Fri, 15 Jan 2027 08:01:00 GMT" == shown.texts[shown.texts.index("Start") + 1]
    assert [] == shown.links


def test_denials_are_told() -> None:
    """A denial says who denied, and promises no time."""
    texts = page(denied()).texts

    assert f"bob@example.com denied {WHAT}" == texts[2]
    assert not {"Start", "End"} & set(texts)


MARKUP = '<img src="https://evil.example/x"><b>&amp;"\''
FIELDS: dict[str, dict[str, object]] = {
    "project": {"entitlement": EntitlementId(MARKUP, "roles/viewer")},
    "role": {"entitlement": EntitlementId("project-1", MARKUP)},
    "condition": {"entitlement": EntitlementId("project-1", "roles/viewer", MARKUP)},
    "justification": {"justification": MARKUP},
}


@pytest.mark.parametrize("field", FIELDS)
def test_c38_markup_stays_text(field: str) -> None:
    """Markup in any field is shown as it was typed, and adds no element."""
    request = msgspec.structs.replace(REQUEST, **FIELDS[field])
    activation = msgspec.structs.replace(ACTIVATION, **FIELDS[field])

    for before, after in (
        (page(requested()), page(requested(request))),
        (page(approved()), page(writer().approved(request, activation, now=START))),
        (page(denied()), page(writer().denied(request, reviewer="b@example.com", now=START))),
    ):
        assert before.tags == after.tags
        assert any(MARKUP in text for text in after.texts)


@pytest.mark.parametrize("who", ["beneficiary", "reviewers", "approver", "denier", "url"])
def test_c38_markup_of_people_stays_text(who: str) -> None:
    """People's names and the link are escaped too: each reviewer, and not only single values."""
    request = REQUEST
    activation = ACTIVATION
    if who == "beneficiary":
        request = msgspec.structs.replace(REQUEST, beneficiary=MARKUP)
    elif who == "reviewers":
        request = msgspec.structs.replace(REQUEST, reviewers=(MARKUP, MARKUP))
    elif who == "approver":
        activation = msgspec.structs.replace(ACTIVATION, approvers=(MARKUP, MARKUP))
    # Nobody gets mail at such an address; here they do, so that the pages can be looked at.
    write = writer(address=somewhere)
    url = MARKUP if who == "url" else URL
    reviewer = MARKUP if who == "denier" else "bob@example.com"

    assert page(requested()).tags == page(write.requested(request, url=url, now=START)).tags
    assert page(approved()).tags == page(write.approved(request, activation, now=START)).tags
    assert page(denied()).tags == page(write.denied(request, reviewer=reviewer, now=START)).tags


@pytest.mark.parametrize("text", ["{{ role }}", "{{USER}}", "{% raw %}", "{# x", "%s", "{0}"])
def test_c38_placeholders_are_not_expanded_again(text: str) -> None:
    """What looks like a placeholder in a text of somebody is shown as it is."""
    request = msgspec.structs.replace(
        REQUEST, justification=text, entitlement=EntitlementId(text, text, text)
    )
    letter = requested(request)

    texts = page(letter).texts
    assert [text] * 4 == [
        texts[texts.index(name) + 1]
        for name in ("Project", "Role", "Resource Condition", "Justification")
    ]
    assert f"Justification: {text}\n" in plain(letter)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028"])
def test_no_line_of_a_text_becomes_a_header(end: str) -> None:
    """A line break in a project's id or a name ends no header and begins no line of the mail."""
    request = msgspec.structs.replace(
        REQUEST,
        entitlement=EntitlementId(f"a{end}Bcc: eve@evil.example", "roles/viewer"),
        justification=f"a{end}View request: https://evil.example",
    )
    letter = writer(name=f"Relay{end}Bcc: eve@evil.example").requested(request, url=URL, now=START)

    found = opened(letter)
    assert None is found["Bcc"]
    assert 3 == len(letter.recipients)
    assert ["alice@example.com requests access to project a Bcc: eve@evil.example"] == heads(
        letter, "Subject"
    )
    assert 1 == sum(line.startswith("View request:") for line in plain(letter).splitlines())


@pytest.mark.parametrize("who", ["project", "beneficiary", "sender"])
def test_no_encoded_word_of_a_text_becomes_a_header(who: str) -> None:
    """An encoded word (RFC 2047) in a name is not read, so no line break in it ends a header."""
    word = "a=?utf-8?q?a=0d=0abcc=3aeve=40evil.example=0d=0a=0d=0aclick?="
    request = REQUEST
    if who == "project":
        entitlement = EntitlementId(word[1:], "roles/viewer")
        request = msgspec.structs.replace(REQUEST, entitlement=entitlement)
    elif who == "beneficiary":
        request = msgspec.structs.replace(REQUEST, beneficiary=f"{word}@example.com")
    name = f"Quorumkey {word[1:]}" if who == "sender" else "Quorumkey"
    letter = writer(name=name).requested(request, url=URL, now=START)

    mail = opened(letter)

    assert mail["Bcc"] is None
    assert b"\nbcc" not in letter.message.partition(b"\r\n\r\n")[0].lower()
    assert mail.get_content_type() == "multipart/alternative"


def test_names_of_any_script() -> None:
    """A sender's name is shown as it is written, and only ASCII goes over the wire."""
    letter = writer(name='Zugänge, "Süd"').requested(REQUEST, url=URL, now=START)

    sender = opened(letter)["From"].addresses[0]
    assert ('Zugänge, "Süd"', "relay@quorumkey.example") == (sender.display_name, sender.addr_spec)
    assert letter.message.isascii()


def test_justifications_of_any_script() -> None:
    """A justification is read as it was written, and only ASCII goes over the wire."""
    request = msgspec.structs.replace(REQUEST, justification="Störung 障害 🔥")
    letter = requested(request)

    assert "Justification: Störung 障害 🔥\n" in plain(letter)
    assert "Störung 障害 🔥" in page(letter).texts
    assert letter.message.isascii()


def test_c28_addresses_are_mapped() -> None:
    """Mail goes where the mapping says; the texts still name people as they sign in."""

    def mapped(person: str) -> str:
        return person.replace("@", "@mail.")

    letter = writer(address=mapped).requested(REQUEST, url=URL, now=START)

    assert ("bob@mail.example.com", "carol@mail.example.com", "alice@mail.example.com") == (
        letter.recipients
    )
    assert "User: alice@example.com\n" in plain(letter)


def test_an_address_is_named_once() -> None:
    """Two people who share an address get one message."""
    letter = writer(address=somewhere).requested(REQUEST, url=URL, now=START)

    assert ("somewhere@example.com",) == letter.recipients


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("", id="empty"),
        pytest.param("bob", id="no-host"),
        pytest.param("bob@example.com, eve@evil.example", id="two"),
        pytest.param("bob@example.com\r\nBcc: eve@evil.example", id="header"),
        pytest.param("bob@example.com> BODY=8BITMIME", id="command"),
        pytest.param("bób@example.com", id="not-ascii"),
        pytest.param(f"{'b' * 250}@example.com", id="long"),
        pytest.param("Bob <bob@example.com>", id="with-a-name"),
    ],
)
def test_who_has_no_address_gets_no_mail(address: str) -> None:
    """What is no plain address is refused for good, and not repeated."""

    def mapped(_person: str) -> str:
        return address

    with pytest.raises(MailFailed) as caught:
        writer(address=mapped).requested(REQUEST, url=URL, now=START)

    assert (True, "Somebody has no e-mail address that mail can go to.") == (
        caught.value.is_final,
        caught.value.message,
    )


def test_a_mapping_that_fails() -> None:
    """A mapping that gives no address is a message that cannot be sent, and no bug."""

    def fail(_person: str) -> str:
        raise ValueError

    with pytest.raises(MailFailed):
        writer(address=fail).requested(REQUEST, url=URL, now=START)
