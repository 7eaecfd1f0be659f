"""Keys and certificates that the stand-ins make."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from quorumkey_relay.standins import start_stand_ins
from quorumkey_relay.standins.credentials import Files, apns_public_key, service_account_public_key

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_they_are_private(tmp_path: Path) -> None:
    """Every file has mode 0600, in a folder of mode 0700."""
    folder = tmp_path / "stand-ins"
    async with start_stand_ins(folder):
        modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}

    assert ({0o600}, 0o700) == (modes, folder.stat().st_mode & 0o777)


async def test_they_are_kept(tmp_path: Path) -> None:
    """A second start makes nothing anew but the service account, whose address may be another."""
    async with start_stand_ins(tmp_path) as first:
        files = first.files
        kept = [files.ca_file, files.server_file, files.apns_key_file]
        before = [path.read_bytes() for path in kept]
        account = json.loads(files.service_account_file.read_text())
    async with start_stand_ins(tmp_path) as second:
        after = [path.read_bytes() for path in kept]
        again = json.loads(files.service_account_file.read_text())

    assert before == after
    assert account["private_key"] == again["private_key"]
    assert f"{second.fcm.url}/token" == again["token_uri"]


async def test_the_certificate_is_for_loopback(tmp_path: Path) -> None:
    """It is good for localhost and both loopback addresses, under the root in the folder."""
    async with start_stand_ins(tmp_path) as stands:
        context = ssl.create_default_context(cafile=stands.files.ca_file)
        (root,) = context.get_ca_certs()

    assert "Quorumkey stand-ins, for tests only" in str(root["subject"])


async def test_the_apns_key_is_apples_kind(tmp_path: Path) -> None:
    """The .p8 file is PKCS #8 with a P-256 key."""
    async with start_stand_ins(tmp_path) as stands:
        key = load_pem_private_key(stands.files.apns_key_file.read_bytes(), None)

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert "secp256r1" == key.curve.name


async def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    """Keys that were swapped are told as what they are."""
    async with start_stand_ins(tmp_path) as stands:
        files = stands.files
    apns, account = files.apns_key_file.read_bytes(), files.service_account_key_file.read_bytes()
    files.apns_key_file.write_bytes(account)
    files.service_account_key_file.write_bytes(apns)

    with pytest.raises(TypeError, match="holds no P-256 key"):
        apns_public_key(Files(tmp_path))
    with pytest.raises(TypeError, match="holds no RSA key"):
        service_account_public_key(Files(tmp_path))
