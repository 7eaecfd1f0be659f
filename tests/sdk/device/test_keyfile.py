from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from quorumkey.device import KeyFileError
from quorumkey.device.keyfile import (
    create_key,
    load_key,
    make_folder,
    read_secret,
    replace_secret,
    write_secret,
)

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> object:
    """A umask that would leave files open to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_files_and_folders_are_private_from_the_start(tmp_path: Path) -> None:
    """Files are made with mode 0600 and folders with 0700, whatever the umask."""
    folder = tmp_path / "home"
    make_folder(folder)
    write_secret(folder / "a", b"x")
    replace_secret(folder / "b", b"x")
    create_key(folder / "key.pem")

    assert 0o700 == mode(folder)
    assert {0o600} == {mode(path) for path in folder.iterdir()}


def test_a_file_is_created_once(tmp_path: Path) -> None:
    """A second creation leaves the first content and says so."""
    path = tmp_path / "a"
    created = [write_secret(path, b"first"), write_secret(path, b"second")]

    assert [True, False] == created
    assert b"first" == path.read_bytes()


def test_replacing(tmp_path: Path) -> None:
    """Replacing leaves the new content and no other file."""
    path = tmp_path / "a"
    replace_secret(path, b"first")
    replace_secret(path, b"second")

    assert b"second" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """Where there is a key, creating one loads it."""
    path = tmp_path / "key.pem"
    key = create_key(path)

    assert key.public_key == create_key(path).public_key
    assert key.public_key == load_key(path).public_key


def test_no_key(tmp_path: Path) -> None:
    """A key file that is not there is named; another file that is not there reads as None."""
    with pytest.raises(KeyFileError, match=r"key\.pem is missing"):
        load_key(tmp_path / "key.pem")

    assert read_secret(tmp_path / "a", max_bytes=9) is None


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o610, 0o666])
def test_a_shared_key_file_is_refused(tmp_path: Path, bits: int) -> None:
    """A key file that anybody else may read, write or run is not used."""
    path = tmp_path / "key.pem"
    create_key(path)
    path.chmod(bits)

    with pytest.raises(KeyFileError, match="open to other users"):
        load_key(path)


@pytest.mark.parametrize("data", [b"", b"no key", b"x" * 5000])
def test_a_damaged_key_file_is_refused(tmp_path: Path, data: bytes) -> None:
    """A key file with something else in it is named, and not overwritten."""
    path = tmp_path / "key.pem"
    write_secret(path, data)

    with pytest.raises(KeyFileError, match=r"key\.pem"):
        create_key(path)

    assert data == path.read_bytes()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A key file that is a symbolic link is refused."""
    create_key(tmp_path / "real.pem")
    (tmp_path / "key.pem").symlink_to(tmp_path / "real.pem")

    with pytest.raises(KeyFileError, match="cannot be read"):
        load_key(tmp_path / "key.pem")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in a file's place is refused."""
    (tmp_path / "key.pem").mkdir(mode=0o700)

    with pytest.raises(KeyFileError, match="regular file"):
        read_secret(tmp_path / "key.pem", max_bytes=9)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """A pipe in a file's place is refused without waiting for it."""
    os.mkfifo(tmp_path / "key.pem", 0o600)

    with pytest.raises(KeyFileError, match="regular file"):
        read_secret(tmp_path / "key.pem", max_bytes=9)


def test_a_shared_folder_is_refused(tmp_path: Path) -> None:
    """A home that other users may enter is refused, with what to do."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o750)

    with pytest.raises(KeyFileError, match="chmod 700"):
        make_folder(tmp_path / "home")


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A folder or file that cannot be made is one clear error."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(KeyFileError, match="cannot be made"):
        make_folder(tmp_path / "file" / "home")
    with pytest.raises(KeyFileError, match="cannot be written"):
        write_secret(tmp_path / "missing" / "key.pem", b"x")
