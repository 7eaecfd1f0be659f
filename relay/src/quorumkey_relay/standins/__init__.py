"""Local servers that behave like APNs, FCM and a Web Push service, for tests and for trying out.

They judge senders independently: they share no code with the relay's channels, count streams,
resends and duplicates themselves, refuse what the providers refuse, and go wrong in the ways in
which the providers go wrong.
"""

from quorumkey_relay.standins.apns_table import apns_token
from quorumkey_relay.standins.faults import FaultError, Faults
from quorumkey_relay.standins.fcm_table import fcm_token
from quorumkey_relay.standins.ledger import Counters, Received
from quorumkey_relay.standins.stand import Stand, WebPushStand
from quorumkey_relay.standins.stands import Ports, StandIns, start_stand_ins
from quorumkey_relay.standins.webpush import Subscription

__all__ = [
    "Counters",
    "FaultError",
    "Faults",
    "Ports",
    "Received",
    "Stand",
    "StandIns",
    "Subscription",
    "WebPushStand",
    "apns_token",
    "fcm_token",
    "start_stand_ins",
]
