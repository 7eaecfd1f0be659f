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

__all__ = ["ADVICE_BY_CHECK", "ADVICE_BY_REASON", "Advice", "explain"]


class Advice(NamedTuple):
    """The two halves of a sentence.

    Attributes:
        matter: what is the matter.
        remedy: what to do about it.
    """

    matter: str
    remedy: str


#: What is said of a reason, where nothing better is known of the check.
ADVICE_BY_REASON: Final[Mapping[Reason, Advice]] = MappingProxyType(
    {
        Reason.MALFORMED: Advice(
            "The evidence is cut off, changed on its way or not in its format",
            "check that the app sends the bytes exactly as the system gave them, in the encoding "
            "that the server expects",
        ),
        Reason.UNTRUSTED_ROOT: Advice(
            "The certificates lead to no root that this server trusts, as an emulator's, a "
            "software key's and a forger's do",
            "try a real device, and look whether the policy names the right roots",
        ),
        Reason.BROKEN_CHAIN: Advice(
            "The certificates do not form one chain in which each was issued by the next",
            "have the app send the whole chain, leaf first, and treat it as forged if it does",
        ),
        Reason.NOT_CA: Advice(
            "A certificate that must not issue others issued one, as in an attack that makes a "
            "genuine key sign for a false one",
            "refuse the device and report it to whoever watches for fraud",
        ),
        Reason.EXPIRED: Advice(
            "A certificate or receipt has run out",
            "have the app make new evidence on a device that is online, and look at the server's "
            "clock if many devices are refused",
        ),
        Reason.NOT_YET_VALID: Advice(
            "A certificate or receipt is not valid yet",
            "look at the server's clock first, then have the app attest again",
        ),
        Reason.REVOKED: Advice(
            "The vendor has revoked a certificate of the device's chain, because its keys leaked "
            "or its software was broken",
            "have the user enrol another device, for this one cannot be trusted again",
        ),
        Reason.REVOCATION_STALE: Advice(
            "The server has no revocation list that is fresh enough to judge by",
            "see why its fetch of the vendor's list fails, then let the app try again",
        ),
        Reason.CHALLENGE: Advice(
            "The evidence was made for another challenge than this enrolment's, perhaps an "
            "earlier one",
            "have the app ask for a fresh challenge and attest again",
        ),
        Reason.NONCE: Advice(
            "The evidence does not cover the nonce and the data that came with it, or the nonce "
            "was used before",
            "have the app ask for a fresh nonce, hash it as documented and attest again",
        ),
        Reason.KEY_MISMATCH: Advice(
            "The evidence is about another key than the one that is registered, or that key "
            "belongs to another user",
            "have the app create a new key and send evidence of that same key",
        ),
        Reason.APP_ID: Advice(
            "The evidence comes from another app than the policy names, or from a copy that "
            "somebody else signed",
            "compare the app's id and its release signing certificate with the policy, and have "
            "the user install the published app",
        ),
        Reason.COUNTER: Advice(
            "The key's counter did not grow, so this is a replay, a copied key or two requests at "
            "once",
            "have the app send a new assertion, and enrol the device anew if that is refused too",
        ),
        Reason.ENVIRONMENT: Advice(
            "The evidence belongs to another environment, as a development build's does on a "
            "production server",
            "have the user install the released app, or point the build at the test server",
        ),
        Reason.SIGNATURE: Advice(
            "A signature does not verify, so the data or the signature was changed or made with "
            "another key",
            "check which bytes the app signs and with which key, then have it sign again",
        ),
        Reason.LEVEL: Advice(
            "The key lives in weaker hardware than the policy asks for, or in software",
            "have the user enrol a device with the hardware that the policy names",
        ),
        Reason.BOOT_STATE: Advice(
            "The device runs a system that was not verified at boot, or its boot loader is "
            "unlocked",
            "have the user lock the boot loader on an original system, or enrol another device",
        ),
        Reason.ORIGIN: Advice(
            "The key was not created inside the hardware, or a page of another origin asked for it",
            "have the app create a new key in the key store, and look at the origins that the "
            "policy names",
        ),
        Reason.PURPOSE: Advice(
            "The key may be used for more, or for something else, than signing",
            "have the app create the key with the signing purpose alone",
        ),
        Reason.USER_AUTH: Advice(
            "The key can be used without the user unlocking it as the policy asks",
            "have the app create the key so that every use asks for fingerprint, face or code",
        ),
        Reason.PATCH: Advice(
            "The device's security patch is older than the policy allows, or its date is "
            "impossible",
            "have the user install the system's updates and enrol again",
        ),
        Reason.EXTENSION_POSITION: Advice(
            "The key description stands where it proves nothing, as when an attested key signs "
            "for another",
            "have the app attest the key directly, without an attestation key of its own",
        ),
        Reason.TIMESTAMP: Advice(
            "The evidence is older than the policy allows, or dated in the future",
            "look at the clocks of server and device, then have the app make new evidence",
        ),
        Reason.VERDICT: Advice(
            "The vendor does not vouch for the app or the device as far as the policy asks",
            "have the user install the app from its store on a certified, up-to-date device",
        ),
        Reason.ALGORITHM: Advice(
            "A key or a signature is of an algorithm that is not allowed here",
            "have the app create its key on the curve P-256 and use the algorithms documented",
        ),
        Reason.UNSUPPORTED: Advice(
            "This server cannot judge evidence of this kind",
            "see whether the app sends the format agreed on, and whether the server was installed "
            "with the extra for it",
        ),
    }
)

#: What is said of a refusal by one particular check.
ADVICE_BY_CHECK: Final[Mapping[str, Advice]] = MappingProxyType(
    {
        "chain/4-denied": Advice(
            "The certificates lead to a test root whose keys anybody can have",
            "use a real device, and allow test roots on test servers only",
        ),
        "apple.attestation/4-nonce": Advice(
            "The App Attest object was made over something else than the hash of this challenge",
            "have the app hand SHA-256 of the server's fresh challenge to attestKey, hashed once",
        ),
        "apple.attestation/6-app-id": Advice(
            "The key was attested by an app that the policy does not name",
            "compare the team id and bundle id of the build with the App IDs in the policy",
        ),
        "apple.attestation/7-counter": Advice(
            "The App Attest key has signed before it was attested here",
            "have the app generate a new key and attest it before it makes any assertion",
        ),
        "apple.attestation/10-category": Advice(
            "The app was distributed in a way that the policy does not accept, such as TestFlight "
            "or Xcode",
            "have the user install it from the App Store, or add the category for test builds",
        ),
        "apple.assertion/4-environment": Advice(
            "The stored key is of the other App Attest environment than the policy",
            "keep development and production keys apart, and have the app attest a new key",
        ),
        "apple.assertion/6-challenge": Advice(
            "The signed client data does not hold the challenge that the server issued",
            "have the app put the fresh challenge into the client data before it signs them",
        ),
        "android.chain/8-revoked": Advice(
            "Google has revoked a certificate of the device's chain, because its keys leaked or "
            "its software was broken",
            "have the user enrol another device, for this one cannot be trusted again",
        ),
        "android.key/1-challenge": Advice(
            "The key was created for another challenge than this enrolment's",
            "have the app create a new key with the fresh challenge in setAttestationChallenge",
        ),
        "android.key/3-curve": Advice(
            "The key is not on the curve that the policy asks for",
            "have the app create an EC key with the ECGenParameterSpec secp256r1",
        ),
        "android.key/6-lost": Advice(
            "The device's owner has reported it as lost or stolen",
            "treat the request as an attack until the owner confirms it another way",
        ),
        "android.key/9-no-auth": Advice(
            "The key can be used without the user authenticating at all",
            "have the app create the key with setUserAuthenticationRequired(true)",
        ),
        "android.key/9-per-use": Advice(
            "One unlocking opens the key for some time instead of for one use",
            "have the app create the key with setUserAuthenticationParameters and a timeout of 0",
        ),
        "android.key/11-locked": Advice(
            "The device's boot loader is unlocked, so its system may be anybody's",
            "have the user lock the boot loader, which erases the device, or enrol another one",
        ),
        "android.key/12-verified-boot": Advice(
            "The device did not boot a system whose maker the policy accepts",
            "have the user return to the original system, or put the boot key of a system that "
            "you trust on the policy's list",
        ),
        "android.key/14-signer": Advice(
            "The app has the expected name but another signing certificate, as debug builds and "
            "repackaged copies have",
            "compare the certificate's SHA-256 with the policy, which with Play App Signing is "
            "that of Google's key",
        ),
        "android.key/16-created": Advice(
            "The key was created too long before this enrolment, or in the future",
            "have the app create a new key for every enrolment, and look at the device's clock",
        ),
        "counters/2-binding": Advice(
            "The key is registered to another user already",
            "have the app create a new key, and ask how one device came to serve two people",
        ),
        "play.decode/1-classic": Advice(
            "This Play Integrity token can be decoded by Google alone",
            "send it to decodeIntegrityToken and judge the answer, or make a classic request with "
            "response keys of your own",
        ),
        "play.decode/4-unwrap": Advice(
            "The Play Integrity token is encrypted for another key",
            "compare the decryption key with the one in the Play Console for this very app",
        ),
        "play.decode/8-signature": Advice(
            "The Play Integrity token is signed with another key, or was changed",
            "compare the verification key with the one in the Play Console for this very app",
        ),
        "play.nonce/1-unused": Advice(
            "The nonce of this Play Integrity verdict was used before, or has ended",
            "have the app ask for a fresh nonce and request a new verdict",
        ),
        "play.evaluate/1-testing": Advice(
            "The Play Integrity verdict is a test answer, made up in the Play Console",
            "take the user's account off the list of testers there",
        ),
        "play.evaluate/5-recognition": Advice(
            "Google Play does not know this build of the app, or did not look",
            "have the user install the app from Google Play",
        ),
        "play.evaluate/8-version": Advice(
            "The app is older than the policy allows",
            "have the user update it",
        ),
        "play.evaluate/11-licensing": Advice(
            "The user's account did not get the app from Google Play",
            "have the user install it from there with the account that the phone uses",
        ),
        "play.evaluate/12-access": Advice(
            "Another app on the device can watch the screen, cover it or act in the user's place",
            "have the user close or remove screen-sharing, overlay and remote-control apps",
        ),
        "play.evaluate/12-access-evaluated": Advice(
            "Google did not evaluate what other apps on the device can do",
            "switch app access risk on in the Play Console, and have the user update Google Play",
        ),
        "play.evaluate/13-play-protect": Advice(
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
    advice = ADVICE_BY_CHECK.get(error.check or "", ADVICE_BY_REASON[error.reason])
    where = "" if error.index is None else f" (certificate {error.index}, the leaf being 0)"
    return f"{advice.matter}{where}: {advice.remedy}."
