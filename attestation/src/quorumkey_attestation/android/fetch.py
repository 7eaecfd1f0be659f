"""An optional fetcher for Google's revocation list, which keeps the last good one."""

from __future__ import annotations

__all__: list[str] = []
