"""Those who grant what was approved: your own endpoint, Google Cloud IAM, PostgreSQL."""

from quorumkey_relay.executors.configured import ConfiguredExecutors, open_executors

__all__ = ["ConfiguredExecutors", "open_executors"]
