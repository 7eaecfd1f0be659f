"""``python -m quorumkey_relay`` is ``quorumkey-relay``."""

from __future__ import annotations

from quorumkey_relay.cli import main

if __name__ == "__main__":
    main()
