"""``vx32py pki``: keys, credentials and proofs (docs/pki.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What went wrong: nothing proves it; a file is not what it should be, or cannot be read or written.
EXIT_REFUSED: Final = 1
EXIT_BAD_FILE: Final = 3

_EPILOG: Final = """\b
Examples:
  vx32py pki keygen alice.key
  vx32py pki delegate --key root.key --to alice.key.pub --depth 1 mail -o alice.cred
  vx32py pki issue --key alice.key --about bob.key.pub --text reader mail/lists -o bob.cred
  vx32py pki attach alice.cred bob.cred whirlpool -o bundle.cred
  vx32py pki verify --policy policy.toml --explain --about bob.key.pub --text reader mail/lists bundle.cred

\b
WHO is a principal: the file of a public or private key, of an X.509 certificate or of an SSH public key, or its
notation: key:..., hash:..., WHO/role, 2of(WHO,WHO,WHO).

\b
Exit codes:
  0 done, or proved; 1 refused: nothing in the credentials proves it; 2 wrong usage; 3 a file that is no key,
  credential, policy or plug-in, or that cannot be read or written. The reason is one line on stderr.
"""


@click.group(epilog=_EPILOG)
def pki() -> None:
    """Keys, signed statements, and proofs that check them: with hash and signature schemes that come along as guests."""


@contextmanager
def _one_line() -> Iterator[None]:
    """Every error that can be somebody else's fault, on one line."""
    from vx32py.cli import fail

    try:
        from vx32py._errors import Vx32Error
        from vx32py.pki.errors import Refused

        try:
            yield
        except Refused as error:
            fail("pki: refused", _printable(error), EXIT_REFUSED)
        except (Vx32Error, ValueError) as error:
            fail("pki", _printable(error), EXIT_BAD_FILE)
        except OSError as error:
            where = f"{error.filename}: " if error.filename is not None else ""
            fail("pki", _printable(f"{where}{error.strerror or error}"), EXIT_BAD_FILE)
    except ImportError as error:
        if error.name not in ("cryptography", "cbor2"):
            raise
        fail("pki", f"{error.name} is missing: pip install 'vx32py[pki]'", EXIT_BAD_FILE)


def _printable(message: object) -> str:
    """On one line, whatever files are called."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(message))


# ---- options that several commands have

_KEY = click.option("--key", "keys", required=True, multiple=True, metavar="FILE",
                    help="A private key that signs; more than once for several signatures.")  # fmt: skip
_OUTPUT = click.option("-o", "--output", required=True, metavar="FILE", help="Where the credentials go.")
_FORCE = click.option("--force", is_flag=True, help="Replace FILE if it is there.")


def _validity(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--serial", metavar="HEX", help="What tells equal credentials apart; random without it."),
        click.option("--revoker", metavar="WHO", help="Whose current revocation list must not have it."),
        click.option("--until", metavar="TIME", help="The first moment at which it is no longer valid."),
        click.option("--days", type=click.IntRange(min=1, max=36_600), default=365, show_default=True,
                     help="How long it is valid, without --until."),
        click.option("--from", "start", metavar="TIME", help="When it begins to be valid: now. TIME is 2026-01-31, "
                     "2026-01-31T12:00:00Z or seconds since 1970."),
        click.option("--scheme", metavar="PLUGIN", help="The signature is to be checked by this plug-in, a file or the name "
                     "of one that comes with vx32py. It must take the signatures that the key makes."),
    ):  # fmt: skip
        command = option(command)
    return command


# ---- keys


@pki.command()
@click.argument("file", metavar="FILE")
def keygen(file: str) -> None:
    """Make an Ed25519 key: the private one in FILE, which must not be there yet, the public one in FILE.pub.

    Prints the principal that it is. OpenSSL's and OpenSSH's keys will do as well.
    """
    with _one_line():
        from vx32py.pki import keys

        key = keys.SigningKey.generate()
        key.save(file)
        keys.write_public(key.principal, f"{file}.pub")
        click.echo(key.principal)


@pki.command()
@click.option("--hash", "scheme", metavar="SCHEME", help="By its digest: sha-256 and the like, a plug-in's file, or the name "
              "of one that comes with vx32py.")  # fmt: skip
@click.option("--scheme", "signed_by", metavar="PLUGIN", help="As a key whose signatures this plug-in checks.")
@click.argument("who", metavar="WHO")
def principal(who: str, scheme: str | None, signed_by: str | None) -> None:
    """Print the notation of a principal.

    \b
    Examples:
      vx32py pki principal ~/.ssh/id_ed25519.pub
      vx32py pki principal --hash whirlpool alice.key.pub
    """
    with _one_line():
        found = _principal(who)
        if signed_by is not None:
            found = _foreign(found, _plugin(signed_by))
        click.echo(_hashed(found, scheme) if scheme is not None else found)


# ---- credentials


@pki.command()
@_KEY
@click.option("--about", metavar="WHO", help="About whom.")
@click.option("--text", default="", metavar="TEXT", help="What about them.")
@_validity
@_OUTPUT
@_FORCE
@click.argument("topic", metavar="TOPIC")
def issue(topic: str, about: str | None, text: str, **options: Any) -> None:
    """Sign a claim under TOPIC, words with / between them.

    \b
    Example:
      vx32py pki issue --key alice.key --about bob.key.pub --text reader mail/lists -o bob.cred
    """
    with _one_line():
        from vx32py.pki.logic import Claim

        _sign(Claim(topic, None if about is None else _principal(about), text), **options)


@pki.command()
@_KEY
@click.option("--to", "delegate_to", required=True, metavar="WHO", help="Who may speak.")
@click.option(
    "--for", "speaks_for", metavar="WHO", help="For whom, the key's holder (the first of them) or a role of theirs."
)
@click.option(
    "--depth",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Through how many hands it may be passed on.",
)
@_validity
@_OUTPUT
@_FORCE
@click.argument("topic", metavar="TOPIC")
def delegate(topic: str, delegate_to: str, speaks_for: str | None, depth: int, **options: Any) -> None:
    """Let somebody else speak for the holder of a key on TOPIC and what is below it ("*" for everything).

    \b
    Examples:
      vx32py pki delegate --key root.key --to alice.key.pub --depth 1 mail -o alice.cred
      vx32py pki delegate --key root.key --to alice.key.pub --for root.key.pub/staff door -o staff.cred
    """
    with _one_line():
        from vx32py.pki.logic import Delegation

        own = _signer(options["keys"][0], options["scheme"])[0]
        principal = own if speaks_for is None else _principal(speaks_for)
        _sign(Delegation(_principal(delegate_to), principal, topic, depth), **options)


@pki.command()
@_KEY
@click.option(
    "--kind", type=click.Choice(["hash", "signature"]), help="What it is; found out from a plug-in that is one of them."
)
@click.option("--native", is_flag=True, help="PLUGIN is the name of a scheme that needs none, such as sha-256.")
@_validity
@_OUTPUT
@_FORCE
@click.argument("plugin", metavar="PLUGIN")
def vouch(plugin: str, kind: str | None, native: bool, **options: Any) -> None:
    """Say that a scheme is good: PLUGIN is the file of a plug-in, or the name of one that comes with vx32py.

    \b
    Example:
      vx32py pki vouch --key root.key whirlpool -o whirlpool.cred
    """
    with _one_line():
        from vx32py.pki.logic import Vouch
        from vx32py.pki.scheme import NATIVE, plugin_name

        if native:
            scheme, kinds = plugin, [each for each, names in NATIVE.items() if plugin in names]
            if not kinds:
                raise click.UsageError(
                    f"no scheme is called {plugin!r}; there are {', '.join(sum(NATIVE.values(), ()))}"
                )
        else:
            elf = _plugin(plugin)
            scheme, kinds = plugin_name(elf), list(_kinds(elf))
        if kind is None and len(kinds) > 1:
            raise click.UsageError(f"{plugin} is of several kinds: say --kind")
        if kind is not None and kind not in kinds:
            raise ValueError(f"{plugin} is no {kind} scheme")
        _sign(Vouch(scheme, kinds[0] if kind is None else kind), **options)


@pki.command()
@_OUTPUT
@_FORCE
@click.argument("files", metavar="FILES...", nargs=-1, required=True)
def attach(files: tuple[str, ...], output: str, force: bool) -> None:
    """Put credentials and plug-ins together in one file: FILES are either, or names of plug-ins that come with vx32py.

    \b
    Example:
      vx32py pki attach alice.cred bob.cred whirlpool ./novel.elf -o bundle.cred
    """
    with _one_line():
        from vx32py.pki.credentials import Bundle

        bundle = Bundle()
        for file in files:
            bundle += _bundle_or_plugin(file)
        _write(output, bundle.to_bytes(), force)


@pki.command()
@_KEY
@click.option(
    "--list", "previous", metavar="FILE", help="The list that this one follows: it has all that was revoked before."
)
@click.option("--withdraw", is_flag=True, help="Withdraw one's own credentials for ever, without a list.")
@click.option(
    "--number", type=click.IntRange(min=0), help="The number of the list; one more than that of --list, or 1."
)
@_validity
@_OUTPUT
@_FORCE
@click.argument("credentials", metavar="[CREDENTIALS]...", nargs=-1)
def revoke(
    credentials: tuple[str, ...], previous: str | None, withdraw: bool, number: int | None, **options: Any
) -> None:
    """Take credentials back: every one in these files, or those whose identities (64 hexadecimal digits) are given.

    Signs a revocation list, for credentials that name the key's holder as their revoker; a list without CREDENTIALS says
    that nothing (more) is revoked. Verifiers never go back to a list with a lower number.

    \b
    Examples:
      vx32py pki revoke --key root.key --days 7 -o list.cred
      vx32py pki revoke --key root.key --days 7 --list list.cred bob.cred -o list2.cred
      vx32py pki revoke --key alice.key --withdraw bob.cred -o withdrawn.cred
    """
    with _one_line():
        from vx32py.pki.logic import RevocationList, Withdrawal

        if withdraw and (previous is not None or number is not None):
            raise click.UsageError("--withdraw goes without a list")
        identities = {identity for file in credentials for identity in _identities(file)}
        if withdraw:
            if not identities:
                raise click.UsageError("--withdraw needs CREDENTIALS")
            _sign_all([Withdrawal(identity) for identity in sorted(identities)], **options)
            return
        least = 0
        if previous is not None:
            old = _only_list(previous)
            identities |= set(old.revoked)
            least = old.number
        chosen = least + 1 if number is None else number
        if previous is not None and chosen <= least:
            raise ValueError(f"{previous}: it has number {least}; one that follows has a higher one than {chosen}")
        _sign(RevocationList(chosen, tuple(sorted(identities))), **options)


@pki.command()
@click.option(
    "--policy", "policy_file", required=True, metavar="FILE", help="Whom to believe on what: TOML (docs/pki.md)."
)
@click.option("--about", metavar="WHO", help="About whom; WHO may be a name of the policy's.")
@click.option("--text", default="", metavar="TEXT", help="What about them.")
@click.option("--state", "state_file", metavar="FILE", help="Where to remember what has been revoked; made if need be.")
@click.option("--at", metavar="TIME", help="As of another time than now.")
@click.option("--explain", is_flag=True, help="Print the proof as a tree, or every attempt that failed.")
@click.argument("topic", metavar="TOPIC")
@click.argument("files", metavar="[CREDENTIALS]...", nargs=-1)
def verify(
    topic: str,
    files: tuple[str, ...],
    policy_file: str,
    about: str | None,
    text: str,
    state_file: str | None,
    at: str | None,
    explain: bool,
) -> None:
    """Find and check a proof of a claim in these credentials, by the policy. Exit code 0: it is proved; 1: it is not.

    Plug-ins that came along are used where somebody whom the policy trusts has vouched for them, as guests without any rights.

    \b
    Example:
      vx32py pki verify --policy policy.toml --about bob.key.pub --text reader mail/lists bundle.cred
    """
    with _one_line():
        from vx32py.cli import say
        from vx32py.pki import verifying
        from vx32py.pki.errors import Refused
        from vx32py.pki.logic import Claim
        from vx32py.pki.policy import Policy
        from vx32py.pki.revocation import State

        policy = Policy.load(policy_file)
        goal = Claim(topic, None if about is None else _principal(about, policy.names), text)
        state = None if state_file is None else State.load(state_file)
        now = None if at is None else _moment(at, "--at")
        try:
            proof = verifying.verify(goal, [_bundle_or_plugin(file) for file in files], policy, now=now, state=state)
        except Refused as refused:
            for note in refused.notes if explain else ():
                say(f"  {note.credential or '-':<16}  {note.rule}: {note.reason}")
            raise
        finally:
            if state is not None:
                state.save()
        for line in verifying.explain(proof, policy.names) if explain else [f"proved: {goal}"]:
            click.echo(line)


@pki.command()
@click.option("--full", is_flag=True, help="Keys and digests in full.")
@click.argument("files", metavar="FILES...", nargs=-1, required=True)
def show(files: tuple[str, ...], full: bool) -> None:
    """Print what is in credential files. Nothing is checked but their form: who has signed is what the file says."""
    with _one_line():
        from vx32py.pki.credentials import Bundle
        from vx32py.pki.notation import shorten
        from vx32py.pki.scheme import plugin_name

        def brief(text: object) -> str:
            return str(text) if full else shorten(str(text))

        for file in files:
            bundle = Bundle.load(file)
            for credential in bundle.credentials:
                body = credential.body
                click.echo(f"credential {credential.identity.hex() if full else credential.label}")
                click.echo(f"  says     {brief(body.statement)}")
                click.echo(f"  valid    {_time(body.start)} to {_time(body.end)}")
                if body.revoker is not None:
                    click.echo(f"  revoker  {brief(body.revoker)}")
                for key, _ in credential.signatures:
                    click.echo(f"  signed   {brief(key)}")
            for elf in bundle.plugins:
                click.echo(f"plug-in {plugin_name(elf)}")
                click.echo(f"  size     {len(elf):,} bytes")
                click.echo(f"  is       {_described(elf)}")


@pki.command()
def plugins() -> None:
    """List the plug-ins that come with vx32py, with the digests that name them."""
    with _one_line():
        from vx32py.pki import plugins as shipped
        from vx32py.pki.scheme import plugin_name

        missing = False
        for name in shipped.NAMES:
            kind = "signature" if name in shipped.SIGNATURES else "hash"
            try:
                named = plugin_name(shipped.load(name))
            except shipped.PluginMissing:
                named, missing = "not built here", True
            click.echo(f"{name:<10} {kind:<9} {named}")
        if missing:
            click.echo("python -m vx32py.decoders builds them", err=True)


# ---- helpers


def _principal(who: str, names: Mapping[str, Any] | None = None) -> Any:
    """From a notation, the file of a public or private key, certificate or SSH key, or such a file with roles behind it."""
    from pathlib import Path

    from vx32py.pki import keys
    from vx32py.pki.errors import BadKey
    from vx32py.pki.logic import Role
    from vx32py.pki.notation import parse_principal

    path, _, roles = who, "", ""
    while path and not Path(path).is_file():  # FILE/role/role
        path, _, last = path.rpartition("/")
        roles = f"{last}/{roles}" if roles else last
    if not path or who in (names or {}):
        return parse_principal(who, names)
    try:
        found: Any = keys.principal_from_file(path)
    except BadKey as public:
        try:
            found = keys.SigningKey.load(path).principal
        except BadKey:
            raise public from None
    for role in filter(None, roles.split("/")):
        found = Role(found, role)
    return found


def _plugin(name: str) -> bytes:
    """The ELF of a plug-in: a file, or the name of one that comes with vx32py."""
    from pathlib import Path

    from vx32py.pki import plugins as shipped
    from vx32py.pki.credentials import MAX_PLUGIN

    if name in shipped.NAMES and not Path(name).exists():
        return shipped.load(name)
    with open(name, "rb") as file:
        elf = file.read(MAX_PLUGIN + 1)
    if len(elf) > MAX_PLUGIN:
        raise ValueError(f"{name}: more than {MAX_PLUGIN} bytes, which no plug-in has")
    _kinds(elf, name)
    return elf


def _kinds(elf: bytes, name: str = "") -> tuple[Any, ...]:
    """Which kinds of scheme a plug-in is. Raises SchemeError."""
    from vx32py.pki.errors import SchemeError
    from vx32py.pki.guest import kinds_of_elf

    try:
        return kinds_of_elf(elf)
    except SchemeError as error:
        raise SchemeError(f"{name}: {error}" if name else str(error)) from None


def _described(elf: bytes) -> str:
    from vx32py.pki.errors import SchemeError

    try:
        return f"a {' and '.join(_kinds(elf))} scheme, as it says"
    except SchemeError as error:
        return str(error)


def _hashed(found: Any, scheme: str) -> Any:
    """A key by its digest."""
    from vx32py.pki.errors import BadTerm
    from vx32py.pki.guest import GuestScheme
    from vx32py.pki.logic import Hashed, Key
    from vx32py.pki.scheme import HASHES, NativeHash, plugin_name
    from vx32py.pki.wire import to_bytes

    if not isinstance(found, Key):
        raise BadTerm("only a key has a hash")
    if scheme in HASHES:
        return Hashed(scheme, NativeHash(scheme, HASHES[scheme]).digest(to_bytes(found)))
    elf = _plugin(scheme)
    with GuestScheme(elf) as guest:
        return Hashed(plugin_name(elf), guest.digest(to_bytes(found)))


def _foreign(found: Any, elf: bytes) -> Any:
    """A native key as one of the scheme that a plug-in is."""
    from vx32py.pki.errors import BadTerm
    from vx32py.pki.logic import Key
    from vx32py.pki.scheme import plugin_name

    if not isinstance(found, Key):
        raise BadTerm("only keys are of a scheme")
    return Key(plugin_name(elf), found.public)


def _signer(file: str, scheme: str | None) -> tuple[Any, Callable[[bytes], bytes]]:
    """Who signs with a private key, and how."""
    from vx32py.pki import keys

    key = keys.SigningKey.load(file)
    return (key.principal if scheme is None else _foreign(key.principal, _plugin(scheme))), key.sign


def _sign(statement: Any, **options: Any) -> None:
    _sign_all([statement], **options)


def _sign_all(
    statements: Sequence[Any],
    keys: tuple[str, ...],
    output: str,
    force: bool,
    start: str | None,
    until: str | None,
    days: int,
    revoker: str | None,
    serial: str | None,
    scheme: str | None,
) -> None:
    """Sign each statement with every key, and write the credentials."""
    import os
    import time

    from vx32py.pki.credentials import Bundle, Credential
    from vx32py.pki.logic import Body
    from vx32py.pki.notation import shorten
    from vx32py.pki.wire import signed_message

    begin = int(time.time()) if start is None else _moment(start, "--from")
    end = begin + days * 86_400 if until is None else _moment(until, "--until")
    if serial is not None:
        try:
            number = bytes.fromhex(serial)
        except ValueError:
            raise click.BadParameter(f"{serial!r} is not in hexadecimal digits", param_hint="--serial") from None
    else:
        number = os.urandom(8)
    signers = [_signer(key, scheme) for key in keys]
    made = []
    for statement in statements:
        body = Body(statement, begin, end, None if revoker is None else _principal(revoker), number)
        made.append(Credential(body, tuple((who, sign(signed_message(who, body))) for who, sign in signers)))
    _write(output, Bundle.of(made).to_bytes(), force)
    for credential in made:
        click.echo(f"{credential.identity.hex()}  {shorten(str(credential.body.statement))}", err=True)


def _write(output: str, data: bytes, force: bool) -> None:
    if output == "-":
        sys.stdout.buffer.write(data)
        return
    with open(output, "wb" if force else "xb") as file:
        file.write(data)


def _bundle_or_plugin(file: str) -> Any:
    from pathlib import Path

    from vx32py.pki import plugins as shipped
    from vx32py.pki.credentials import Bundle

    if file in shipped.NAMES and not Path(file).exists():
        return Bundle((), (shipped.load(file),))
    with open(file, "rb") as opened:
        is_elf = opened.read(4) == b"\x7fELF"
    return Bundle((), (_plugin(file),)) if is_elf else Bundle.load(file)


def _identities(text: str) -> list[bytes]:
    import re

    from vx32py.pki.credentials import Bundle

    if re.fullmatch("[0-9a-f]{64}", text):
        return [bytes.fromhex(text)]
    return [credential.identity for credential in Bundle.load(text).credentials]


def _only_list(file: str) -> Any:
    from vx32py.pki.credentials import Bundle
    from vx32py.pki.logic import RevocationList

    lists = [each.body.statement for each in Bundle.load(file).credentials]
    found = [each for each in lists if isinstance(each, RevocationList)]
    if len(found) != 1:
        raise ValueError(f"{file}: {len(found)} revocation lists, where one should be")
    return found[0]


def _moment(text: str, option: str) -> int:
    """Seconds since 1970."""
    from datetime import UTC, datetime

    if text.isascii() and text.isdigit():
        return int(text[:20])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time: 2026-01-31, 2026-01-31T12:00:00Z, or seconds since 1970", param_hint=option
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _time(seconds: int) -> str:
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # a year beyond 9999
        return str(seconds)
