"""``serve``: the relay itself, in the foreground."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from quorumkey_relay.cli.access import has_database, note_address
from quorumkey_relay.cli.output import Output, Refused, forget_output
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.store.sqlite.lock import LOCK_NAME, DirectoryLock

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.app import Relay
    from quorumkey_relay.settings import Settings


def serve(settings: Settings, *, out: Output) -> None:
    """Serve until SIGINT or SIGTERM; say where once calls are answered."""
    from quorumkey_relay import server  # noqa: PLC0415 - half a second that others need not wait
    from quorumkey_relay.app import build  # noqa: PLC0415 - as above
    from quorumkey_relay.attestation.policies import policies_of  # noqa: PLC0415 - as above
    from quorumkey_relay.jit_file import read_jit_file  # noqa: PLC0415 - as above

    policies_of(settings)  # so that a file of roots that is wrong is told as what it is
    if settings.jit_file is not None:
        read_jit_file(settings.jit_file)  # as above
    _refuse_a_second(settings.data_dir)
    is_new = not has_database(settings.data_dir)
    made: list[Relay] = []

    def build_relay(bound: Settings) -> Relay:
        made.append(build(bound))
        return made[-1]

    def ready(_service: server.Service) -> None:
        relay = made[-1]
        note_address(settings.data_dir, relay.settings.app_url)
        try:
            _say(relay, out, is_new=is_new)
        except BrokenPipeError:  # the relay goes on when nobody reads what it says
            forget_output()

    try:
        server.run(settings, build_relay, on_ready=ready)
    except ConfigError as error:
        # The configuration is fine; the address cannot be taken now.
        raise Refused(str(error)) from None


def _refuse_a_second(directory: Path) -> None:
    """Raise ``AlreadyServed`` before anything else is said about ports."""
    if (directory / LOCK_NAME).exists():
        lock = DirectoryLock(directory)
        lock.acquire()
        lock.release()


def _say(relay: Relay, out: Output, *, is_new: bool) -> None:
    settings = relay.settings
    fingerprint = relay.keys.fingerprint(relay.clock.now())
    channels = [channel.name for channel in relay.channels]
    jit = relay.jit_settings
    out.json(
        {
            "url": settings.url,
            "relay": fingerprint,
            "mode": settings.mode,
            "data_dir": str(settings.data_dir),
            "channels": channels,
            "pid": os.getpid(),
            **({} if jit is None else {"jit": f"{settings.url}/jit/"}),
            **({} if settings.unsafe_test_root is None else {"unsafe_test_root": True}),
        }
    )
    out.line(f"Serving {settings.url} ({settings.mode}), relay {fingerprint}. Ctrl-C stops it.")
    out.line(f"Devices are reached through: {', '.join(channels)}.")
    if jit is not None:
        out.line(
            f"People activate roles at {settings.url}/jit/, and reviewers approve them by"
            f" {jit.activation.approval}."
        )
    if settings.unsafe_test_root is not None:
        out.line(
            f"UNSAFE: evidence under the roots in {settings.unsafe_test_root} counts as genuine.",
            style="bold red",
        )
    if is_new:
        out.line("There is no integrator yet; in another terminal:")
        out.line(f"  quorumkey-relay init --data-dir {settings.data_dir} --integrator NAME")
    sys.stdout.flush()
