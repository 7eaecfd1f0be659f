"""The wheels hold what they must and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from tests.repo import tree

PACKAGES = {
    "sdk": ("quorumkey", "quorumkey"),
    "attestation": ("quorumkey-attestation", "quorumkey_attestation"),
    "relay": ("quorumkey-relay", "quorumkey_relay"),
}


@pytest.fixture(scope="module", params=tree.DISTRIBUTIONS)
def wheel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, zipfile.ZipFile]:
    """One distribution's name in this repository, and its wheel, built from the tracked files."""
    distribution = str(request.param)
    folder = tmp_path_factory.mktemp(distribution)
    for path in tree.files():
        if path.parts[0] == distribution:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree.ROOT / path, folder / path)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=folder / distribution,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return distribution, zipfile.ZipFile(built)


def test_a_wheel_says_that_it_is_typed(wheel: tuple[str, zipfile.ZipFile]) -> None:
    """Type checkers of those who install it read its annotations."""
    distribution, archive = wheel

    assert f"{PACKAGES[distribution][1]}/py.typed" in archive.namelist()


def test_a_wheel_carries_its_licence_and_its_readme(wheel: tuple[str, zipfile.ZipFile]) -> None:
    """The licence text travels along, and the metadata names it."""
    distribution, archive = wheel
    (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    metadata = HeaderParser().parsestr(archive.read(f"{folder}/METADATA").decode())

    assert (tree.ROOT / "LICENSE").read_bytes() == archive.read(f"{folder}/licenses/LICENSE")
    assert metadata["Name"] == PACKAGES[distribution][0]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert tree.read(Path(distribution, "README.md")) == metadata.get_payload()


def test_a_wheel_holds_its_package_and_nothing_else(wheel: tuple[str, zipfile.ZipFile]) -> None:
    """Every file under the package's source folder is in the wheel; no test or tool is."""
    distribution, archive = wheel
    source = Path(distribution, "src")
    expected = {
        path.relative_to(source).as_posix() for path in tree.files() if path.is_relative_to(source)
    }

    assert expected == {name for name in archive.namelist() if ".dist-info/" not in name}
