"""Assurance levels and their order."""

from __future__ import annotations

import pytest

from quorumkey_attestation import Assurance


@pytest.mark.parametrize(
    ("rank", "levels"),
    [
        (0, {Assurance.NONE}),
        (1, {Assurance.SOFTWARE}),
        (2, {Assurance.PASSKEY}),
        (3, {Assurance.TEE, Assurance.PASSKEY_DEVICE_BOUND}),
        (4, {Assurance.SECURE_ENCLAVE, Assurance.STRONGBOX}),
    ],
)
def test_each_rank_has_its_levels(rank: int, levels: set[Assurance]) -> None:
    """The seven levels stand in five ranks."""
    assert levels == {level for level in Assurance if level.rank == rank}


@pytest.mark.parametrize("level", list(Assurance))
@pytest.mark.parametrize("floor", list(Assurance))
def test_a_floor_admits_its_rank_and_higher(level: Assurance, floor: Assurance) -> None:
    """A level meets every floor that does not outrank it, and no other."""
    assert (level.rank >= floor.rank) is level.meets(floor)


def test_levels_of_one_rank_admit_each_other() -> None:
    """A secure element of one vendor is as good as that of the other."""
    assert Assurance.STRONGBOX.meets(Assurance.SECURE_ENCLAVE)
    assert Assurance.SECURE_ENCLAVE.meets(Assurance.STRONGBOX)
