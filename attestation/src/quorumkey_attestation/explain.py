"""Refusals in one sentence each: what is the matter, and what to do about it.

For support engineers and logs. The sentences are made of the reason, the check and the position in
the chain alone, never of the evidence, so they repeat no challenge, key or name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from quorumkey_attestation.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.errors import AttestationError

__all__ = ["explain"]


class _Advice(NamedTuple):
    """What is the matter, and what to do: the two halves of a sentence."""

    matter: str
    remedy: str


_BY_REASON: Final[Mapping[Reason, _Advice]] = MappingProxyType(
    {
        Reason.MALFORMED: _Advice(
            "The evidence is cut off, changed on its way or not in its format",
            "check that the app sends the bytes exactly as the system gave them, in the encoding "
            "that the server expects",
        ),
        Reason.UNTRUSTED_ROOT: _Advice(
            "The certificates lead to no root that this server trusts, as an emulator's, a "
            "software key's and a forger's do",
            "try a real device, and look whether the policy names the right roots",
        ),
        Reason.BROKEN_CHAIN: _Advice(
            "The certificates do not form one chain in which each was issued by the next",
            "have the app send the whole chain, leaf first, and treat it as forged if it does",
        ),
        Reason.NOT_CA: _Advice(
            "A certificate that must not issue others issued one, as in an attack that makes a "
            "genuine key sign for a false one",
            "refuse the device and report it to whoever watches for fraud",
        ),
        Reason.EXPIRED: _Advice(
            "A certificate or receipt has run out",
            "have the app make new evidence on a device that is online, and look at the server's "
            "clock if many devices are refused",
        ),
        Reason.NOT_YET_VALID: _Advice(
            "A certificate or receipt is not valid yet",
            "look at the server's clock first, then have the app attest again",
        ),
        Reason.REVOKED: _Advice(
            "The vendor has revoked a certificate of the device's chain, because its keys leaked "
            "or its software was broken",
            "have the user enrol another device, for this one cannot be trusted again",
        ),
        Reason.REVOCATION_STALE: _Advice(
            "The server has no revocation list that is fresh enough to judge by",
            "see why its fetch of the vendor's list fails, then let the app try again",
        ),
        Reason.CHALLENGE: _Advice(
            "The evidence was made for another challenge than this enrolment's, perhaps an "
            "earlier one",
            "have the app ask for a fresh challenge and attest again",
        ),
        Reason.NONCE: _Advice(
            "The evidence does not cover the nonce and the data that came with it, or the nonce "
            "was used before",
            "have the app ask for a fresh nonce, hash it as documented and attest again",
        ),
        Reason.KEY_MISMATCH: _Advice(
            "The evidence is about another key than the one that is registered, or that key "
            "belongs to another user",
            "have the app create a new key and send evidence of that same key",
        ),
        Reason.APP_ID: _Advice(
            "The evidence comes from another app than the policy names, or from a copy that "
            "somebody else signed",
            "compare the app's id and its release signing certificate with the policy, and have "
            "the user install the published app",
        ),
        Reason.COUNTER: _Advice(
            "The key's counter did not grow, so this is a replay, a copied key or two requests at "
            "once",
            "have the app send a new assertion, and enrol the device anew if that is refused too",
        ),
        Reason.ENVIRONMENT: _Advice(
            "The evidence belongs to another environment, as a development build's does on a "
            "production server",
            "have the user install the released app, or point the build at the test server",
        ),
        Reason.SIGNATURE: _Advice(
            "A signature does not verify, so the data or the signature was changed or made with "
            "another key",
            "check which bytes the app signs and with which key, then have it sign again",
        ),
        Reason.LEVEL: _Advice(
            "The key lives in weaker hardware than the policy asks for, or in software",
            "have the user enrol a device with the hardware that the policy names",
        ),
        Reason.BOOT_STATE: _Advice(
            "The device runs a system that was not verified at boot, or its boot loader is "
            "unlocked",
            "have the user lock the boot loader on an original system, or enrol another device",
        ),
        Reason.ORIGIN: _Advice(
            "The key was not created inside the hardware, or a page of another origin asked for it",
            "have the app create a new key in the key store, and look at the origins that the "
            "policy names",
        ),
        Reason.PURPOSE: _Advice(
            "The key may be used for more, or for something else, than signing",
            "have the app create the key with the signing purpose alone",
        ),
        Reason.USER_AUTH: _Advice(
            "The key can be used without the user unlocking it as the policy asks",
            "have the app create the key so that every use asks for fingerprint, face or code",
        ),
        Reason.PATCH: _Advice(
            "The device's security patch is older than the policy allows, or its date is "
            "impossible",
            "have the user install the system's updates and enrol again",
        ),
        Reason.EXTENSION_POSITION: _Advice(
            "The key description stands where it proves nothing, as when an attested key signs "
            "for another",
            "have the app attest the key directly, without an attestation key of its own",
        ),
        Reason.TIMESTAMP: _Advice(
            "The evidence is older than the policy allows, or dated in the future",
            "look at the clocks of server and device, then have the app make new evidence",
        ),
        Reason.VERDICT: _Advice(
            "The vendor does not vouch for the app or the device as far as the policy asks",
            "have the user install the app from its store on a certified, up-to-date device",
        ),
        Reason.ALGORITHM: _Advice(
            "A key or a signature is of an algorithm that is not allowed here",
            "have the app create its key on the curve P-256 and use the algorithms documented",
        ),
        Reason.UNSUPPORTED: _Advice(
            "This server cannot judge evidence of this kind",
            "see whether the app sends the format agreed on, and whether the server was installed "
            "with the extra for it",
        ),
    }
)

_BY_CHECK: Final[Mapping[str, _Advice]] = MappingProxyType(
    {
        "chain/4-denied": _Advice(
            "The certificates lead to a test root whose keys anybody can have",
            "use a real device, and allow test roots on test servers only",
        ),
        "play.decode/1-classic": _Advice(
            "This Play Integrity token can be decoded by Google alone",
            "send it to decodeIntegrityToken and judge the answer, or make a classic request with "
            "response keys of your own",
        ),
        "play.decode/4-unwrap": _Advice(
            "The Play Integrity token is encrypted for another key",
            "compare the decryption key with the one in the Play Console for this very app",
        ),
        "play.decode/8-signature": _Advice(
            "The Play Integrity token is signed with another key, or was changed",
            "compare the verification key with the one in the Play Console for this very app",
        ),
        "play.nonce/1-unused": _Advice(
            "The nonce of this Play Integrity verdict was used before, or has ended",
            "have the app ask for a fresh nonce and request a new verdict",
        ),
        "play.evaluate/1-testing": _Advice(
            "The Play Integrity verdict is a test answer, made up in the Play Console",
            "take the user's account off the list of testers there",
        ),
        "play.evaluate/5-recognition": _Advice(
            "Google Play does not know this build of the app, or did not look",
            "have the user install the app from Google Play",
        ),
        "play.evaluate/8-version": _Advice(
            "The app is older than the policy allows",
            "have the user update it",
        ),
        "play.evaluate/11-licensing": _Advice(
            "The user's account did not get the app from Google Play",
            "have the user install it from there with the account that the phone uses",
        ),
        "play.evaluate/12-access": _Advice(
            "Another app on the device can watch the screen, cover it or act in the user's place",
            "have the user close or remove screen-sharing, overlay and remote-control apps",
        ),
        "play.evaluate/12-access-evaluated": _Advice(
            "Google did not evaluate what other apps on the device can do",
            "switch app access risk on in the Play Console, and have the user update Google Play",
        ),
        "play.evaluate/13-play-protect": _Advice(
            "Play Protect is off, or found harmful apps",
            "have the user switch it on and remove what it finds",
        ),
    }
)


def explain(error: AttestationError) -> str:
    """Return one sentence on why evidence was refused, which ends with what to do.

    Args:
        error: the refusal.

    Returns:
        English for a support engineer. It repeats nothing of the evidence, and may change between
        versions: programs go by :attr:`AttestationError.reason`.
    """
    advice = _BY_CHECK.get(error.check or "", _BY_REASON[error.reason])
    where = "" if error.index is None else f" (certificate {error.index}, the leaf being 0)"
    return f"{advice.matter}{where}: {advice.remedy}."
