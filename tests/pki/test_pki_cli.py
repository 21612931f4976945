"""``vx32py pki`` as people meet it: what it writes, errors of one line, exit codes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pki_plugins import shipped
from pki_world import behaving

from vx32py.commands.pki import pki
from vx32py.pki.credentials import Bundle
from vx32py.pki.logic import Claim, RevocationList, Withdrawal

HELP = ["keygen", "principal", "issue", "delegate", "vouch", "attach", "revoke", "verify", "show", "plugins"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a few keys, and credentials that its policy accepts."""
    folder = tmp_path_factory.mktemp("pki")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("root", "alice", "bob"):
            done(f"keygen {name}.key")
        principal = done("principal root.key.pub").stdout.strip()
        trusts = "".join(
            f'[[trust]]\nprincipal = "{principal}"\ntopic = "{topic}"\ndepth = 2\n'
            for topic in ("mail", "pki/scheme", "pki/revocation")
        )
        Path("policy.toml").write_text(trusts)
        done("delegate --key root.key --to alice.key.pub --depth 1 mail -o alice.cred")
        done("issue --key alice.key --about bob.key.pub --text reader mail/lists -o bob.cred")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def vx32py_pki(command: str) -> Result:
    return CliRunner().invoke(pki, command.split(" "))


def done(command: str) -> Result:
    result = vx32py_pki(command)
    assert result.exit_code == 0, (command, result.stderr, result.exception)
    return result


def failed(command: str, code: int) -> str:
    """The one line on stderr."""
    result = vx32py_pki(command)
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout) == (code, ""), (command, result.stderr)
    lines = result.stderr.splitlines()
    if code != 2:
        assert len(lines) == 1, result.stderr
    return lines[-1]


VERIFY = "verify --policy policy.toml --about bob.key.pub --text reader mail/lists"


def test_what_it_writes_can_be_verified(here: Path) -> None:
    assert done(f"{VERIFY} alice.cred bob.cred").stdout.startswith("proved: claim mail/lists about key:ed25519:")
    done("attach alice.cred bob.cred -o both.cred")
    tree = done(f"{VERIFY} both.cred --explain").stdout.splitlines()
    assert tree[0].startswith("verifier says: ")
    assert len(tree) == 9
    assert "mail, depth 2  [policy]" in tree[1]
    assert "refused: nobody who is trusted to says: claim mail/lists" in failed(f"{VERIFY} bob.cred", 1)


def test_keys_are_for_their_owner_and_never_replaced(here: Path) -> None:
    assert (here / "root.key").stat().st_mode & 0o777 == 0o600
    before = (here / "root.key").read_bytes()
    assert "root.key: File exists" in failed("keygen root.key", 3)
    assert (here / "root.key").read_bytes() == before
    (here / "root.key").chmod(0o644)
    assert "chmod 600" in failed("issue --key root.key mail -o x.cred", 3)
    assert not (here / "x.cred").exists()


def test_results_are_replaced_only_by_force(here: Path) -> None:
    assert "alice.cred: File exists" in failed("issue --key root.key mail -o alice.cred", 3)
    done("issue --key root.key mail -o alice.cred --force")
    assert isinstance(Bundle.load("alice.cred").credentials[0].body.statement, Claim)


def test_other_programs_keys_will_do(here: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    openssh = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (here / "id_ecdsa").write_bytes(openssh)
    (here / "id_ecdsa").chmod(0o600)
    (here / "id_ecdsa.pub").write_bytes(private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    assert done("principal id_ecdsa").stdout == done("principal id_ecdsa.pub").stdout
    done("delegate --key root.key --to id_ecdsa.pub mail -o ec.cred")
    done("issue --key id_ecdsa --about bob.key.pub --text reader mail/lists -o by-ec.cred")
    done(f"{VERIFY} ec.cred by-ec.cred")


def test_roles_stand_behind_the_file_of_a_key(here: Path) -> None:
    root = done("principal root.key.pub").stdout.strip()
    assert done("principal root.key.pub/staff").stdout == f"{root}/staff\n"
    done("delegate --key root.key --to root.key.pub/staff --depth 1 mail -o to-staff.cred")
    done("delegate --key root.key --for root.key.pub/staff --to alice.key.pub mail -o staff.cred")
    done(f"{VERIFY} to-staff.cred staff.cred bob.cred")


def test_revocation_lists_go_on_from_one_another(here: Path) -> None:
    done("issue --key alice.key --about bob.key.pub --text reader --revoker root.key.pub mail/lists -o r.cred")
    done("revoke --key root.key -o list1.cred")
    done(f"{VERIFY} alice.cred r.cred list1.cred --state seen")
    done("revoke --key root.key --list list1.cred r.cred -o list2.cred")
    done("revoke --key root.key --list list2.cred bob.cred -o list3.cred")
    lists = [Bundle.load(f"list{number}.cred").credentials[0].body.statement for number in (1, 2, 3)]
    assert [each.number for each in lists if isinstance(each, RevocationList)] == [1, 2, 3]
    assert [len(each.revoked) for each in lists if isinstance(each, RevocationList)] == [0, 1, 2]
    assert "refused" in failed(f"{VERIFY} alice.cred r.cred list2.cred --state seen", 1)
    assert "older than" in failed(f"{VERIFY} alice.cred r.cred list1.cred --state seen", 1)
    assert "has a higher one" in failed("revoke --key root.key --list list3.cred --number 3 -o list4.cred", 3)


def test_a_withdrawal_is_for_ever(here: Path) -> None:
    done("revoke --key alice.key --withdraw bob.cred -o gone.cred")
    assert isinstance(Bundle.load("gone.cred").credentials[0].body.statement, Withdrawal)
    assert "withdrawn" in failed(f"{VERIFY} alice.cred bob.cred gone.cred --state seen", 1)
    assert "withdrawn" in failed(f"{VERIFY} alice.cred bob.cred --state seen", 1)
    (here / "seen").write_bytes(b"vx32py revocation state 1\n")
    assert "seen: " in failed(f"{VERIFY} alice.cred bob.cred --state seen", 3)


@pytest.mark.compiler
def test_a_plugin_comes_along_once_it_is_vouched_for(here: Path) -> None:
    elf = shipped("ed25519")
    Path("novel.elf").write_bytes(elf)
    who = done("principal --scheme novel.elf alice.key.pub").stdout.strip()
    done(f"delegate --key root.key --to {who} mail -o d.cred")
    done("issue --key alice.key --scheme novel.elf --about bob.key.pub --text reader mail/lists -o c.cred")
    done("attach d.cred c.cred novel.elf -o bundle.cred")
    assert "nobody who is trusted to vouches" in failed(f"{VERIFY} bundle.cred", 1)
    done("vouch --key root.key novel.elf -o v.cred")
    done(f"{VERIFY} bundle.cred v.cred")
    done(f"{VERIFY} d.cred c.cred v.cred ed25519")  # by its name
    assert (
        f"plug-in {done('show bundle.cred').stdout.split('plug-in ')[1].split()[0]}" in done("show bundle.cred").stdout
    )
    assert "a signature scheme, as it says" in done("show bundle.cred").stdout
    assert who.split(":")[2] in done("plugins").stdout
    assert "is no hash scheme" in failed("vouch --key root.key --kind hash novel.elf -o x.cred", 3)


@pytest.mark.compiler
def test_plugins_that_are_none_are_told_at_the_door(here: Path) -> None:
    Path("bad.elf").write_bytes(b"\x7fELF" + bytes(100))
    Path("huge.elf").write_bytes(b"\x7fELF" + bytes((8 << 20) + 1))
    Path("loop.elf").write_bytes(behaving("dloop"))
    assert "bad.elf: plug-in elf:" in failed("attach alice.cred bad.elf -o x.cred", 3)
    assert "huge.elf: more than 8388608 bytes" in failed("attach alice.cred huge.elf -o x.cred", 3)
    assert "fuel" in failed("principal --hash loop.elf root.key.pub", 3)
    assert "--kind" in failed("vouch --key root.key loop.elf -o x.cred", 2)


@pytest.mark.parametrize("file", ["nothing-here", ".", "garbage", "empty", "/dev/zero", "root.key", "policy.toml"])
@pytest.mark.parametrize("command", [
    "show {}", "attach {} -o x.cred", "verify --policy policy.toml mail {}", "verify --policy {} mail alice.cred",
    "issue --key {} mail -o x.cred", "delegate --key root.key --to {} mail -o x.cred", "revoke --key root.key --list {} -o x.cred",
    "vouch --key root.key {} -o x.cred", "issue --key root.key --scheme {} mail -o x.cred", "principal {}",
])  # fmt: skip
def test_a_wrong_file_is_one_line(command: str, file: str, here: Path) -> None:
    Path("garbage").write_bytes(bytes(range(256)) * 20)
    Path("garbage").chmod(0o600)
    Path("empty").touch(0o600)
    if (
        file == "root.key"
        and ("--to" in command or command[:9] in ("issue --k", "principal"))
        and "--scheme" not in command
    ) or (file in ("policy.toml", "empty") and "--policy {}" in command):
        return  # it is what is wanted
    failed(command.format(file), 3)
    assert not Path("x.cred").exists()


@pytest.mark.parametrize("command", [
    "", "issue", "issue mail -o x", "issue --key root.key mail", "delegate --key root.key mail -o x", "issue --key root.key --days 0 mail -o x",
    "issue --key root.key --from yesterday mail -o x", "issue --key root.key --serial xyz mail -o x", "verify mail x", "revoke --key root.key --withdraw -o x",
    "revoke --key root.key --withdraw --number 4 alice.cred -o x", "vouch --key root.key --native sha-257 -o x", "attach -o x", "nonsense",
])  # fmt: skip
def test_wrong_usage_is_2(command: str, here: Path) -> None:
    result = vx32py_pki(command)
    assert result.exit_code == 2, result.output
    assert not Path("x").exists()


@pytest.mark.parametrize("command", [
    "issue --key root.key --text a\nb mail -o x", "issue --key root.key /mail -o x", "issue --key root.key pki/scheme -o x",
    "issue --key root.key --from 9 --until 8 mail -o x", "issue --key root.key --until 99999999999999999999 mail -o x",
    "issue --key root.key --about key:ed25519:!! mail -o x", "issue --key root.key --about alice mail -o x",
    "delegate --key root.key --to alice.key.pub --depth 33 mail -o x", "principal --hash md-5 root.key.pub",
    "principal --hash sha-256 root.key.pub/staff", "issue --key root.key --serial " + "00" * 33 + " mail -o x",
    "show no\nsuch\nfile", "verify --policy policy.toml pki/x alice.cred",
])  # fmt: skip
def test_what_the_logic_does_not_have_is_one_line(command: str, here: Path) -> None:
    failed(command, 3)
    assert not Path("x").exists()


@pytest.mark.parametrize("command", HELP)
def test_help_is_there(command: str) -> None:
    text = done(f"{command} --help").stdout
    assert "Usage: pki " in text
    if command not in ("keygen", "show", "plugins"):
        assert "vx32py pki " in text


def test_help_loads_neither_cryptography_nor_an_engine() -> None:
    code = "import sys; sys.argv = ['vx32py', 'pki', '--help']\ntry:\n from vx32py.cli import main; main()\nexcept SystemExit: pass\n"
    code += "print([name for name in ('cryptography', 'cbor2', 'rich', 'numba', 'jit') if name in sys.modules], file=sys.stderr)"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=Path(__file__).parents[2])
    assert run.stderr == "[]\n"
    assert "Exit codes:" in run.stdout
