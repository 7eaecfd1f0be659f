"""The client of the page against the relay as its operator starts it: a process, a real clock."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
from tests.e2e.protocol_client import PATIENCE, Integrator, Relay, digest_in, ok, request_body
from tests.e2e.protocol_receipt import verify_receipt
from tests.e2e.protocol_stream import streaming

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

RELAY = (sys.executable, "-m", "quorumkey_relay")


@contextmanager
def serving(data_dir: Path) -> Generator[Relay, None, None]:
    """A relay with the default settings on a free port; ended by SIGTERM."""
    command = [*RELAY, "serve", "--port", "0", "--json", "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        try:
            url = str(json.loads(process.stdout.readline())["url"])
            with httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False) as http:
                yield Relay(url, http)
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0


def test_approval_survives_a_restart(tmp_path: Path) -> None:
    """A request that was half approved before a restart is approved after it and proven."""
    words = [*RELAY, "init", "--integrator", "Acme Corp", "--json", "--data-dir", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    made = json.loads(done.stdout)

    with serving(tmp_path) as relay:
        acme = Integrator(relay, made["api_key"], made["integrator"]["id"], "Acme Corp")
        ann, ben = acme.devices("ann", "ben")
        body = request_body([ann], [ben])
        with streaming(ben) as stream:
            request = ok(acme.post("/v1/requests", body), 201)
            assert stream.next()["type"] == "approval_request"
            assert ok(ann.decide(request))["groups_satisfied_count"] == 1
            assert stream.next()["type"] == "request_progress"
    assert relay.http.is_closed

    with serving(tmp_path) as again:
        acme.relay = ben.relay = again
        (item,) = ben.inbox()
        document = ben.examine(
            item,
            relay_public_key=again.info()["relay_public_key"],
            integrators={acme.integrator_id},
        )
        assert document["nonce"] == body["nonce"]
        assert digest_in(item) == request["request_digest"]
        assert ok(ben.decide(request))["status"] == "approved"
        receipt, kept, now = acme.receipt(request), acme.kept(body), again.now()

    assert verify_receipt(receipt, kept, now=now) == ["Group 1", "Group 2"]
