from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from tests.attestation.attest_terminal import type_in
from tests.repo import tree

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = tree.ROOT.parent / "shared" / "vectors"
STATUS = VECTORS / "revocation-status" / "status-snapshot-2025-01.json"

pytestmark = pytest.mark.skipif(
    not STATUS.exists(), reason="real evidence lies beside the repository, and does not"
)

ANDROID = f"""
packages = "any"
user_auth = "any"
created_within_seconds = "any"
purposes = ["sign", "verify"]

[expect]
challenge = "{b"7ccac1ea-4845-482e-858d-f6fa9aa8c295".hex()}"

[revocation]
file = {json.dumps(str(STATUS))}
fetched_at = 2025-09-26T15:00:00Z
"""
APPLE = f"""
app_ids = ["1234567890.com.example.myapp"]
allow_any_hash_length = true

[expect]
key_id = "zgSY9YSD+7TaDXssY6WlOPVS1K3Lmk+pFhlcSWE+ZV0="
client_data_hash = "{b"example_server_challenge".hex()}"
"""


def judged(folder: Path, policy: str, *arguments: str | Path) -> dict[str, object]:
    """What `verify` says of evidence under a policy."""
    path = folder / "policy.toml"
    path.write_text(policy, encoding="utf-8")
    return type_in("verify", *arguments, "--policy", path, "--json").object


def test_a_genuine_pixel_s_strongbox_key(tmp_path: Path) -> None:
    """A remotely provisioned Pixel 9 Pro: accepted when it was made, expired a week later."""
    chain = VECTORS / "android-keyattestation/testdata/caiman/sdk36/SB_EC_RKP.pem"
    then = judged(tmp_path, ANDROID, "android", chain, "--at", "2025-09-26T15:31:00Z")
    later = judged(tmp_path, ANDROID, "android", chain, "--at", "2025-10-04T00:00:00Z")

    assert (True, "strongbox") == (then["accepted"], then["level"])
    assert ("verified", True) == (then["boot_state"], then["device_locked"])
    assert ("expired", 1) == (later["reason"], later["index"])


@pytest.mark.parametrize("form", ["cbor", "b64", "json"])
def test_apple_s_own_sample(tmp_path: Path, form: str) -> None:
    """The sample of Apple's documentation, raw, as base64 and as an enrolment's JSON."""
    data = (VECTORS / "apple-docs/apple-2026-attestation.cbor").read_bytes()
    path = tmp_path / f"object.{form}"
    text = base64.b64encode(data).decode()
    document = {"format": "apple-app-attest", "object": text}
    path.write_bytes(
        {"cbor": data, "b64": text.encode(), "json": json.dumps(document).encode()}[form]
    )
    told = judged(tmp_path, APPLE, "apple", path, "--at", "2026-04-21T18:13:12Z")

    assert (True, "secure_enclave", 1) == (told["accepted"], told["level"], told["category"])


def test_a_browser_s_registration(tmp_path: Path) -> None:
    """What a browser's toJSON() wrote is judged from the one file."""
    cases = json.loads(
        (VECTORS / "py_webauthn/verify_registration_response.json").read_text(encoding="utf-8")
    )
    case = next(each for each in cases if each["credential"]["type"] == "public-key")
    path = tmp_path / "credential.json"
    path.write_text(json.dumps(case["credential"]), encoding="utf-8")
    client_data = json.loads(
        base64.urlsafe_b64decode(case["credential"]["response"]["clientDataJSON"] + "==")
    )
    challenge = base64.urlsafe_b64decode(client_data["challenge"] + "==").hex()
    policy = (
        f'rp_id = "localhost"\norigins = [{json.dumps(client_data["origin"])}]\n'
        f'require_user_verification = false\n\n[expect]\nchallenge = "{challenge}"\n'
    )
    told = judged(tmp_path, policy, "webauthn", path, "--at", "2026-06-01T12:00:00Z")

    assert (True, "passkey") == (told["accepted"], told["level"]), told
