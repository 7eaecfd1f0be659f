"""``python -m quorumkey_relay.demo`` is ``quorumkey-relay demo``."""

from __future__ import annotations

import sys

from quorumkey_relay.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["demo"]
    main()
