from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.sdk.relay_double import API_KEY, URL

import quorumkey
import quorumkey.client
import quorumkey.device
from quorumkey.client import AsyncClient, Client

if TYPE_CHECKING:
    from types import ModuleType


def test_the_packages_names_are_pinned() -> None:
    """The names that integrators import are these and no others."""
    assert [
        "Action",
        "Approved",
        "Approver",
        "AsyncClient",
        "Client",
        "ClientError",
        "ConfirmedDevice",
        "CreatedRequest",
        "Group",
        "NotApproved",
        "Pairing",
        "Party",
        "PasskeyPolicy",
        "ProtocolError",
        "PublicKey",
        "QuorumkeyError",
        "ReceiptRefused",
        "Status",
        "UnsafeAny",
        "VerificationPolicy",
        "VerifiedReceipt",
        "group",
        "load_policy",
        "parse_webhook",
        "verify_receipt",
    ] == quorumkey.__all__


@pytest.mark.parametrize("module", [quorumkey, quorumkey.client, quorumkey.device])
def test_every_public_name_is_there(module: ModuleType) -> None:
    """Each name in __all__ can be read and is listed by dir()."""
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not public raises what Python raises."""
    with pytest.raises(AttributeError, match="nothing"):
        quorumkey.nothing  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_the_kernel_loads_no_http_client() -> None:
    """Importing the protocol kernel, as the relay does, imports neither httpx2 nor typer."""
    program = (
        "import sys, quorumkey.protocol;"
        "print([name for name in ('httpx2', 'typer', 'websockets') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert "[]" == done.stdout.strip()


def test_the_client_needs_no_command_line_packages() -> None:
    """The clients and the software device load without the extra's packages."""
    program = (
        "import sys, quorumkey.client, quorumkey.device;"
        "print([name for name in ('typer', 'rich', 'websockets') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert "[]" == done.stdout.strip()


@pytest.mark.parametrize("part", ["requests", "pairings", "devices", "webhooks"])
def test_both_clients_have_the_same_surface(part: str) -> None:
    """Each part of the awaited client has the blocking one's methods with the same arguments."""
    blocking = getattr(Client(URL, API_KEY), part)
    awaited = getattr(AsyncClient(URL, API_KEY), part)

    def surface(value: object) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(value, inspect.ismethod)
            if not name.startswith("_")
        }

    assert surface(blocking) == surface(awaited)
