"""The benchmark runs; how fast anything is, it judges itself, on a quiet machine."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.repo import tree

if TYPE_CHECKING:
    from pathlib import Path

FIGURES = {
    *(
        (f"{push} fan-out, {sender}", unit)
        for push, sender in (
            ("APNs", "ours"),
            ("APNs", "aioapns"),
            ("APNs", "httpx[http2]"),
            ("FCM", "ours"),
            ("FCM", "pyfcm notify"),
            ("FCM", "pyfcm async"),
        )
        for unit in ("/s", "core s/1,000")
    ),
    ("APNs fan-out, ours", "x aioapns per core s"),
    ("APNs fan-out, ours", "x httpx[http2] per core s"),
    ("FCM fan-out, ours", "x pyfcm notify per core s"),
    ("FCM fan-out, ours", "x pyfcm async per core s"),
    ("request → outbox → APNs", "/s"),
    ("request → outbox → APNs", "core s/1,000"),
    ("request → outbox → APNs", "x aioapns per core s"),
    ("APNs by bare aioapns, same rounds", "core s/1,000"),
    ("creation → provider accepted, 50/s", "ms p50"),
    ("creation → provider accepted, 50/s", "ms p99"),
    *(
        (f"50 devices, {trouble}: to the healthy", unit)
        for trouble in ("fcm down, webpush slow", "apns down, fcm slow")
        for unit in ("ms p50", "ms p99")
    ),
    ("request ended → webhook delivered", "/s"),
    ("request ended → webhook delivered", "core s/1,000"),
    *(
        (check, unit)
        for check in ("check, unprotected", "check, CEL condition", "check that claims")
        for unit in ("/s", "x echo", "µs")
    ),
    *(
        (f"echo of: {check}", "µs")
        for check in ("check, unprotected", "check, CEL condition", "check that claims")
    ),
    ("guard in process, unprotected", "/s"),
    ("condition evaluated", "µs CPU"),
    ("condition added", "µs CPU"),
    ("hostile, worst", "ms CPU"),
    ("listing of eligible roles", "ms CPU"),
    ("listing, the policy read anew", "ms CPU"),
    ("bindings parsed and split", "/s"),
    ("hostile binding, worst", "ms CPU"),
    ("token minted and verified, ES256", "/s"),
    ("ceiling of the load generator", "/s"),
    ("echo of a creation's body", "/s"),
    ("echo of a decision's body", "/s"),
    ("echo + one P-256 verification", "/s"),
    ("creation", "/s"),
    ("creation", "x echo"),
    ("creation with Idempotency-Key", "/s"),
    ("creation with Idempotency-Key", "x echo"),
    ("decisions on different requests", "/s"),
    ("decisions on different requests", "x echo"),
    ("decisions on different requests", "x echo + verify"),
    ("decisions on different requests", "ms p99"),
    ("decisions of 64 on one request", "/s"),
    ("decisions of 64 on one request", "x echo"),
    ("decisions of 64 on one request", "x echo + verify"),
    ("decisions of 64 on one request", "ms p99"),
    ("core time of an echo", "µs"),
    ("core time of echo + verify", "µs"),
    ("core time of a creation", "µs"),
    ("core time of a decision", "µs"),
    ("creation → challenge, 50/s", "ms p50"),
    ("creation → challenge, 50/s", "ms p99"),
    ("idle device socket", "kB"),
    ("challenge to 10 of 20", "ms to the last"),
    ("challenge to 10 of 20", "ms, slowest of all"),
    ("status reads, 100 stored", "/s"),
    ("status reads, 500 stored", "/s"),
    ("status reads, 500 stored", "x time of 100"),
    *(
        (name, unit)
        for name in (
            "an Android chain of 4",
            "an Android chain of 5",
            "an App Attest attestation",
            "an App Attest assertion",
            "a WebAuthn registration (android-key)",
        )
        for unit in ("/s", "x signatures")
    ),
    ("an App Attest attestation", "x pyattest"),
    ("a WebAuthn registration (android-key)", "x webauthn"),
}


@pytest.mark.slow
def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    """A run with few samples ends well and writes down every figure, each above nothing."""
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--results", tmp_path],
        cwd=tree.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == run.returncode, run.stderr
    (written,) = tmp_path.glob("*.json")
    document = json.loads(written.read_text(encoding="utf-8"))
    assert {(row["name"], row["unit"]) for row in document["rows"]} == FIGURES
    assert all(row["median"] > 0 for row in document["rows"])
    assert "synchronous = FULL" in run.stdout
