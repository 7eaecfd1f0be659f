"""The hosts that the example administers, and the rules for them; all of it in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

#: A rule with this tag is for every host.
GLOBAL_TAG = "global"


@dataclass(slots=True)
class Host:
    """A computer of the fleet."""

    name: str
    tags: tuple[str, ...]
    processes: list[str]


@dataclass(frozen=True, slots=True)
class Rule:
    """What may run on the hosts that have its tag."""

    rule_id: str
    tag: str
    text: str


def _hosts() -> dict[str, Host]:
    hosts = (
        Host("build-1", ("build",), ["compiler", "miner"]),
        Host("build-2", ("build",), ["compiler", "miner"]),
        Host("desk-7", ("office",), ["browser", "miner"]),
    )
    return {host.name: host for host in hosts}


def _rules() -> dict[str, Rule]:
    rules = (
        Rule("rule-1", GLOBAL_TAG, "block miner"),
        Rule("rule-2", "build", "allow compiler"),
    )
    return {rule.rule_id: rule for rule in rules}


@dataclass(slots=True)
class Fleet:
    """All of it."""

    hosts: dict[str, Host] = field(default_factory=_hosts)
    rules: dict[str, Rule] = field(default_factory=_rules)

    def kill(self, tag: str, process: str) -> list[str]:
        """End a process wherever it runs on a host with this tag; return those hosts' names."""
        hit = [
            host for host in self.hosts.values() if tag in host.tags and process in host.processes
        ]
        for host in hit:
            host.processes.remove(process)
        return [host.name for host in hit]

    def delete_rule(self, rule_id: str) -> None:
        """Forget a rule; raises ``KeyError`` where there is none."""
        del self.rules[rule_id]
