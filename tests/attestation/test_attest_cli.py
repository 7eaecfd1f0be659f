from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from base64 import b64encode
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from tests.attestation.attest_terminal import case_called, type_in, typed, write_case
from typer import Typer

from quorumkey_attestation.cli import app, harness
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.explain import explain

COMMANDS = [
    ("verify", "apple"),
    ("verify", "android"),
    ("verify", "webauthn"),
    ("verify", "play"),
    ("show",),
    ("selftest",),
    ("make-fixtures",),
]
AT = "2026-06-01T12:00:00Z"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    """The help has examples, exit statuses and --json, line by line as written."""
    done = type_in(*command, "--help")

    assert 0 == done.status
    assert "\n  Example" in done.out
    assert f"\n    quorumkey-attest {' '.join(command)}" in done.out
    assert "\n  Exit status: " in done.out
    assert "--json" in done.out
    assert "\b" not in done.out


def test_the_commands_are_these() -> None:
    """There is no command without a test of its help."""
    names = {
        (*([group.name] if isinstance(group.name, str) else []), str(command.name))
        for group in app.build().registered_groups
        if isinstance(group.typer_instance, Typer)
        for command in group.typer_instance.registered_commands
    }

    assert set(COMMANDS) == {name for name in names if name[0] != "mint"}


def test_the_version_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """--version prints the installed version, and says so where nothing is installed."""
    assert "quorumkey-attest 0." in type_in("--version").out

    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(app, "version", nothing)
    assert "not installed" in type_in("--version").out


def test_no_command_at_all_shows_the_help() -> None:
    """The list of commands, on standard error, as a usage error."""
    done = type_in()

    assert 2 == done.status
    assert "verify" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("verify", "apple"),
        ("show", "file", "--no-such-option"),
        ("show", "/nowhere/at/all"),
        ("verify", "android", "a", "--policy", "/nowhere/at/all"),
        ("verify", "android", "a", "--policy", "p.toml", "--challenge", "zz"),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_a_sentence_and_status_2(arguments: tuple[str, ...]) -> None:
    """No traceback, no help text, exit status 2."""
    done = type_in(*arguments)

    assert (2, "") == (done.status, done.out)
    assert done.err.startswith("quorumkey-attest: ")
    assert 1 == done.err.count("\n")


def test_an_accepted_attestation_is_told(tmp_path: Path) -> None:
    """Kind, level, facts and every check that was passed, as text and as JSON."""
    case = case_called("A0a")
    folder = write_case(tmp_path, case)
    as_json = type_in(*typed(folder, case))
    as_text = type_in(*typed(folder, case)[:-1])

    assert (0, 0) == (as_json.status, as_text.status)
    told = as_json.object
    assert (True, "secure_enclave") == (told["accepted"], told["level"])
    assert "QK12345678.com.example.approver" == told["app_id"]
    assert as_text.out.startswith("Accepted: App Attest attestation\n")
    assert "\n  apple.attestation/9-credential-id\n" in as_text.out
    assert "apple.attestation/9-credential-id" in str(told["checks"])


def test_a_refusal_is_told_with_what_to_do(tmp_path: Path) -> None:
    """Reason, check, detail and the sentence of explain(), with exit status 1."""
    case = case_called("A9")
    folder = write_case(tmp_path, case)
    told = type_in(*typed(folder, case))
    as_text = type_in(*typed(folder, case)[:-1])

    assert (1, 1) == (told.status, as_text.status)
    assert (False, "counter", case.check) == (
        told.object["accepted"],
        told.object["reason"],
        told.object["check"],
    )
    assert as_text.out.startswith("Refused: counter\n")
    error = AttestationError(Reason.COUNTER, "", check=case.check)
    assert explain(error) == told.object["explanation"]
    assert explain(error) in as_text.out


def test_a_refusal_names_the_certificate(tmp_path: Path) -> None:
    """Where a certificate is the reason, its place in the chain is told."""
    case = case_called("K8a")
    folder = write_case(tmp_path, case)
    done = type_in(*typed(folder, case)[:-1])

    assert 1 == done.status
    assert "\ncertificate     " in done.out


def test_options_go_before_the_policy(tmp_path: Path) -> None:
    """A challenge on the command line replaces the policy's challenge or client data hash."""
    case = case_called("A0a")
    folder = write_case(tmp_path, case)
    other = type_in(*typed(folder, case), "--challenge", "00ff")
    hashed = type_in(*typed(folder, case), "--client-data-hash", "00" * 32)
    key = type_in(*typed(folder, case), "--key-id", "AAAA")

    assert ["nonce_mismatch", "nonce_mismatch", "key_mismatch"] == [
        done.object["reason"] for done in (other, hashed, key)
    ]


def test_an_enrolment_s_json_brings_its_key_id(tmp_path: Path) -> None:
    """The key id in the file is used, and one on the command line goes before it."""
    case = case_called("A0a")
    folder = write_case(tmp_path, case)
    text = (folder / "policy.toml").read_text(encoding="utf-8")
    (key_id,) = (line for line in text.splitlines() if line.startswith("key_id"))
    (folder / "policy.toml").write_text(text.replace(key_id, ""), encoding="utf-8")
    document = {
        "format": "apple-app-attest",
        "key_id": key_id.split('"')[1],
        "object": b64encode(case.evidence["object.cbor"]).decode(),
    }
    (folder / "object.cbor").write_text(json.dumps(document), encoding="utf-8")

    assert 2 == type_in(*typed(write_case(tmp_path / "x", case), case), "--key-id", "?").status
    assert 0 == type_in(*typed(folder, case)).status


def test_an_assertion_takes_its_client_data_from_a_file(tmp_path: Path) -> None:
    """--client-data and --last-counter stand for what the server received and stored."""
    case = case_called("S0a")
    folder = write_case(tmp_path, case)
    (folder / "body").write_bytes(b"another body")
    other = type_in(*typed(folder, case), "--client-data", folder / "body")
    behind = type_in(*typed(folder, case), "--last-counter", "1000000")

    assert ("bad_signature", "counter") == (other.object["reason"], behind.object["reason"])


def test_a_revocation_list_comes_from_the_command_line(tmp_path: Path) -> None:
    """--revocation with --fetched-at replaces the policy's; one without the other is no call."""
    case = case_called("K0a")
    folder = write_case(tmp_path, case)
    status = folder / "status.json"
    fresh = type_in(*typed(folder, case), "--revocation", status, "--fetched-at", AT)
    stale = type_in(
        *typed(folder, case), "--revocation", status, "--fetched-at", "2020-01-01T00:00:00Z"
    )
    alone = type_in(*typed(folder, case), "--revocation", status)

    assert 0 == fresh.status
    assert "revocation_stale" == stale.object["reason"]
    assert (2, "") == (alone.status, alone.out)


def test_the_moment_of_judgement_is_now_unless_told(tmp_path: Path) -> None:
    """Without --at the clock counts; a time without an offset is no time."""
    case = case_called("A0a")
    folder = write_case(tmp_path, case)
    arguments = typed(folder, case)
    place = arguments.index("--at")
    now = type_in(*arguments[:place], *arguments[place + 2 :])
    local = type_in(*arguments, "--at", "2026-06-01T12:00:00")

    assert now.status in (0, 1)
    assert 2 == local.status
    assert "--at must be a time with its offset" in local.err


@pytest.mark.parametrize(
    ("added", "complaint"),
    [
        ('surprise = "x"\n', "unknown key 'surprise'"),
        ('expect = "x"\n', "expect must be a table"),
        ("[[[", "not TOML"),
    ],
    ids=["unknown", "no-table", "no-toml"],
)
def test_a_policy_that_cannot_be_used_is_status_2(
    tmp_path: Path, added: str, complaint: str
) -> None:
    """The sentence names the file and what is wrong in it."""
    case = case_called("K0a")
    folder = write_case(tmp_path, case)
    path = folder / "policy.toml"
    text = path.read_text(encoding="utf-8")
    if added.startswith("expect"):
        text = text.replace("[expect]", "[more]")
    path.write_text(added + text, encoding="utf-8")
    done = type_in(*typed(folder, case))

    assert (2, "") == (done.status, done.out)
    assert complaint in done.err
    assert "policy.toml" in done.err.replace("\n", "")


def test_a_token_needs_its_keys(tmp_path: Path) -> None:
    """Without the app's own keys a token stays closed; keys that are none are told."""
    case = case_called("P0a")
    folder = write_case(tmp_path, case)
    path = folder / "policy.toml"
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("decryption_key")]
    path.write_text("\n".join(lines), encoding="utf-8")
    without = type_in(*typed(folder, case))
    path.write_text(text.replace('decryption_key = "', 'decryption_key = "00'), encoding="utf-8")
    wrong = type_in(*typed(folder, case))

    assert (2, 2) == (without.status, wrong.status)
    assert "a token needs decryption_key and verification_key" in without.err
    assert "32 bytes" in wrong.err


def test_a_spent_nonce_is_refused(tmp_path: Path) -> None:
    """used_nonces stand for the server's ledger."""
    case = case_called("P0a")
    folder = write_case(tmp_path, case)
    path = folder / "policy.toml"
    text = path.read_text(encoding="utf-8")
    (nonce,) = (line.split('"')[1] for line in text.splitlines() if line.startswith("nonce"))
    path.write_text(text + f'used_nonces = ["{nonce}"]\n', encoding="utf-8")

    assert "nonce_mismatch" == type_in(*typed(folder, case)).object["reason"]


def test_a_stored_key_that_is_none_is_told(tmp_path: Path) -> None:
    """What the server stored is its own: a key id that is not the key's is its mistake."""
    case = case_called("S0a")
    folder = write_case(tmp_path, case)
    done = type_in(*typed(folder, case), "--key-id", "AAAA")

    assert 2 == done.status
    assert "key_id is not the SHA-256" in done.err


@pytest.mark.parametrize("stored", ["00", "04ff", "a10102"], ids=["byte", "point", "cose"])
def test_a_passkey_s_key_that_is_none_is_told(tmp_path: Path, stored: str) -> None:
    """The message says in which forms the server may have stored the key."""
    case = case_called("W0r")
    folder = write_case(tmp_path, case)
    done = type_in(*typed(folder, case), "--public-key", stored)

    assert 2 == done.status
    assert "neither a point of P-256 nor a SubjectPublicKeyInfo" in done.err


def test_a_bug_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong inside, there is no traceback."""

    def broken() -> None:
        raise KeyError("inside")

    monkeypatch.setattr(harness, "_require_extras", broken)
    done = type_in("selftest")

    assert 1 == done.status
    assert "this is a bug in quorumkey-attest: KeyError at " in done.err


@pytest.mark.parametrize(
    ("raised", "status"), [(KeyboardInterrupt, 130), (BrokenPipeError, 1)], ids=["^C", "pipe"]
)
def test_leaving_early_is_quiet(
    monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], status: int
) -> None:
    """Neither an interrupt nor a closed pipe is worth a word."""

    def left() -> None:
        raise raised

    monkeypatch.setattr(harness, "_require_extras", left)
    monkeypatch.setattr(app, "forget_output", lambda: None)
    done = type_in("selftest")

    assert (status, "", "") == (done.status, done.out, done.err)


def run(
    *arguments: str,
    program: str = "from quorumkey_attestation.cli import main; main()",
    is_measured: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run the command's entry point in a new interpreter.

    Args:
        arguments: the command's arguments.
        program: what runs instead of it.
        is_measured: whether coverage counts what it runs; not for code of another place.
    """
    names = (name for name in os.environ if is_measured or not name.startswith("COVERAGE"))
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={name: os.environ[name] for name in names},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_missing_extra_is_one_line() -> None:
    """Without typer or rich the command says what to install, with exit status 2."""
    for module in ("typer", "rich"):
        done = run(
            program=f"import sys; sys.modules[{module!r}] = None; "
            "from quorumkey_attestation.cli import main; main()"
        )
        assert (2, "") == (done.returncode, done.stdout)
        assert (
            "quorumkey-attest: the command needs more:"
            " pip install 'quorumkey-attestation[cli]'.\n" == done.stderr
        )


@pytest.mark.parametrize(
    ("module", "extra"), [("webauthn", "webauthn"), ("asn1crypto", "receipt")], ids=str
)
def test_the_self_test_asks_for_what_it_needs(module: str, extra: str) -> None:
    """Without an extra some cases cannot be judged, and the command names it."""
    done = run(
        "selftest",
        program=f"import sys; sys.modules[{module!r}] = None; "
        "from quorumkey_attestation.cli import main; main()",
    )

    assert (1, "") == (done.returncode, done.stdout)
    assert f"pip install 'quorumkey-attestation[{extra}]'" in done.stderr


def test_another_missing_module_is_not_blamed_on_the_extra() -> None:
    """Only what the extra brings is the extra's."""
    done = run(
        program="import sys; sys.modules['quorumkey_attestation.cli.app'] = None; "
        "from quorumkey_attestation.cli import main; main()"
    )

    assert 1 == done.returncode
    assert "ModuleNotFoundError" in done.stderr


def test_a_closed_pipe_ends_the_command_quietly() -> None:
    """What `head` does not read is not complained about."""
    program = "from quorumkey_attestation.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "selftest"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=60)

    assert "" == errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_a_sentence() -> None:
    """Output that cannot be written is told, and is no bug of the command."""
    program = "from quorumkey_attestation.cli import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, "--help"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert 1 == done.returncode
    assert "quorumkey-attest: cannot write the output: No space left on device.\n" == done.stderr


def test_the_self_test_runs_from_a_wheel(tmp_path: Path) -> None:
    """Installed from its wheel, with nothing of the repository in reach, every case ends right."""
    distribution = Path(__file__).resolve().parents[2] / "attestation"
    source = tmp_path / "source"
    shutil.copytree(distribution, source, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--target", installed, wheel),
        ],
        check=True,
        capture_output=True,
    )
    done = run(
        "selftest",
        "--json",
        program=f"import sys; sys.path.insert(0, {str(installed)!r}); "
        "import quorumkey_attestation; "
        f"assert quorumkey_attestation.__file__.startswith({str(installed)!r}); "
        "from quorumkey_attestation.cli import main; main()",
        is_measured=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert json.loads(done.stdout)["as_expected"] is True
