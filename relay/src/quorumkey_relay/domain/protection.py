"""Which methods of an integrator's services wait for approval, and who governs that.

A *method* is one call of a service, by name. The *catalogue* is what the services registered; the
*protected* list is what the administrators made of it. Everything here is a value; the rules that
change one are in `protection_rules`.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

MIN_REQUIRED_APPROVERS: Final = 2
DEFAULT_MAX_DURATION_SECONDS: Final = 86_400
DEFAULT_EXECUTION_EXPIRY_SECONDS: Final = 86_400
MIN_DURATION_SECONDS: Final = 60
MAX_DURATION_SECONDS: Final = 86_400
MAX_METHODS: Final = 5_000
MAX_SERVICE_NAME_CHARS: Final = 80

#: Methods of the relay itself, always protected; the first seven are those of B20
#: (docs/protected-methods.md numbers the behaviours).
GOVERNING_METHODS: Final = (
    "SetMultipartyApprovalSettings",
    "DisableMultipartyApproval",
    "AddMPAProtectedMethod",
    "RemoveMPAProtectedMethod",
    "ResetMPAProtectedMethods",
    "CreateAPIKey",
    "UpdateAPIKey",
    "AddAdministrator",
    "RemoveAdministrator",
)
#: The service that these belong to.
RELAY_SERVICE: Final = "relay"

MethodKind = Literal["always", "default", "eligible", "ineligible"]
Permission = Literal["read", "write"]
Mark = Literal["always", "default", "custom"]


class ProtectionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How approval works for one integrator; durations in seconds.

    ``required`` approvers count the requester where ``count_requestor`` is set and the requester
    is an administrator. An approval that is not executed within ``execution_expiry_seconds``
    lapses.
    """

    enabled: bool = False
    required: int = MIN_REQUIRED_APPROVERS
    max_duration_seconds: int = DEFAULT_MAX_DURATION_SECONDS
    execution_expiry_seconds: int = DEFAULT_EXECUTION_EXPIRY_SECONDS
    exclude_api_keys: bool = False
    count_requestor: bool = True


class Method(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One method as its service declared it.

    ``default_condition`` is for the kind ``default`` alone: CEL, or empty for every call.
    ``resolver`` says that the service sends what the call acts on as ``resource``.
    """

    name: str
    kind: MethodKind
    permission: Permission = "write"
    default_condition: str = ""
    resolver: bool = False
    service: str


class Protection(Struct, frozen=True, kw_only=True):
    """All of one integrator's protection, changed as a whole; ``revision`` grows by one.

    ``protected`` maps a default or custom method to its condition, empty for every call; what is
    always protected is not in it. ``seeded`` are the defaults that were put there once, so that
    one which was removed stays removed. ``administrators`` are approver ids.
    """

    integrator_id: str
    revision: int = 0
    settings: ProtectionSettings = ProtectionSettings()
    methods: dict[str, Method] = field(default_factory=dict[str, Method])
    protected: dict[str, str] = field(default_factory=dict[str, str])
    seeded: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()

    def method(self, name: str) -> Method | None:
        """Return a method of the catalogue, the relay's own too."""
        if name in GOVERNING_METHODS:
            return Method(name=name, kind="always", service=RELAY_SERVICE)
        return self.methods.get(name)

    def condition(self, name: str) -> str | None:
        """Return the condition under which a call waits; None where the method is not protected."""
        method = self.method(name)
        if method is not None and method.kind == "always":
            return ""
        return self.protected.get(name)

    def is_administrator(self, approver_id: str) -> bool:
        """Say whether an approver is an administrator."""
        return approver_id in self.administrators

    def takes_devices_of(self, approver_id: str) -> bool:
        """Say whether a device may be paired for an approver now.

        An API key opens pairings: with one of an administrator it would vote in their name.
        """
        return not (self.settings.enabled and self.is_administrator(approver_id))
