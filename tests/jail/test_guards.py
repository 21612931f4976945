"""Guards see calls before they are made; they let them be, answer or refuse them, and what they have checked is what is used."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images import DATA, image
from small_programs import compiled

import vx32py
from vx32py._guard import CopiedMemory, GuardedCall, Guards, parse_sockaddr
from vx32py._wait import WouldBlock

EACCES, EPERM, ENOSYS = errno.EACCES, errno.EPERM, errno.ENOSYS
#: Opens its arguments one by one, and prints what came of it.
OPENER = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char text[64];
        int fd = open(argv[i], O_RDONLY), count = fd < 0 ? -errno : read(fd, text, sizeof text);
        if (count < 0) printf("%s %d\n", argv[i], count); else printf("%s %.*s\n", argv[i], count, text);
        close(fd);
    }
    return 0;
}
"""
#: Makes the call of the number that its first argument says, with the others, and prints the result.
CALLER = r"""
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    long a[6] = {0};
    for (int i = 2; i < argc && i < 8; i++) a[i - 2] = strtoul(argv[i], 0, 0);
    long result = strtoul(argv[1], 0, 0);
    __asm__ volatile("push %%ebp; mov %[ebp], %%ebp; int $0x80; pop %%ebp" : "+a"(result)
        : "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]), [ebp] "m"(a[5]) : "memory");
    printf("%ld\n", result);
    return 0;
}
"""
#: Opens a path that another thread changes all the while, between two names; how often it has read which file.
RACER = r"""
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
typedef int __attribute__((may_alias, aligned(1))) word;
static char path[] = "/data/good";
static volatile int done;
static void *change(void *unused) {
    for (unsigned n = 0; !done; n++)  /* in one store: it is one of the two at any time */
        *(volatile word *)(path + 6) = *(const word *)(n & 1 ? "good" : "evil");
    return unused;
}
int main(void) {
    pthread_t thread;
    int good = 0, evil = 0, refused = 0;
    pthread_create(&thread, 0, change, 0);
    for (int n = 0; good < 20 || (evil < 20 && refused < 20); n++) {
        char text[5] = {0};
        int fd = open(path, O_RDONLY);
        refused += fd < 0 && errno == EACCES;
        if (n % 4 == 0) sched_yield();
        if (fd < 0) continue;
        read(fd, text, 4);
        close(fd);
        good += !strcmp(text, "good");
        evil += !strcmp(text, "evil");
    }
    done = 1;
    pthread_join(thread, 0);
    printf("%d %d\n", good, evil);
    return 0;
}
"""
#: Ends with what getpid says, in the child of a fork; the parent passes that on.
FORKER = r"""
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    int status;
    if (fork() == 0) return getpid() == 4242 ? 42 : 1;
    wait(&status);
    return getpid() == 4242 && WEXITSTATUS(status) == 42 ? 0 : 1;
}
"""


@pytest.fixture
def jail(tmp_path: Path) -> vx32py.Jail:
    """A jail with two files."""
    for name in ("open", "secret"):
        (tmp_path / name).write_text(f"{name}!")
    return vx32py.Jail(dirs={"/data": str(tmp_path)}, cwd="/data")


def opened(jail: vx32py.Jail, *paths: str) -> list[str]:
    """What a program could open."""
    return jail.run([compiled(OPENER), *paths]).check().stdout.decode().splitlines()


def made(jail: vx32py.Jail, number: int, *arguments: int) -> int:
    """The result of one call."""
    return int(jail.run([compiled(CALLER), str(number), *map(str, arguments)]).check().stdout)


def test_a_guard_sees_paths_and_refuses_a_call(jail: vx32py.Jail) -> None:
    seen = []

    @jail.on("open", "openat")
    def look(call: GuardedCall) -> None:
        seen.append((call.name, call.path, call.absolute_path))
        if call.path is not None and call.path.endswith("secret"):
            raise vx32py.CallError(EPERM)

    assert opened(jail, "open", "/data/secret") == ["open open!", f"/data/secret -{EPERM}"]
    mine = [(path, absolute) for _, path, absolute in seen if path in {"open", "/data/secret"}]
    assert mine == [("open", "/data/open"), ("/data/secret", "/data/secret")]


def test_a_guard_answers_a_call_that_is_then_not_made(jail: vx32py.Jail) -> None:
    jail.on("getpid")(lambda call: 4242)
    assert jail.run([compiled(FORKER)]).exit_code == 0


def test_calls_that_are_answered_natively_are_seen_when_somebody_wants_to(jail: vx32py.Jail, tmp_path: Path) -> None:
    """And those of children, too. The output goes to a file of the host's, which needs no decision otherwise."""
    counts = {"write": 0, "getpid": 0}

    @jail.on("write", "getpid")
    def count(call: GuardedCall) -> None:
        counts[call.name] += 1

    with open(tmp_path / "out", "wb", buffering=0) as file:
        result = jail.run([compiled(FORKER)], stdout=file.fileno())
        assert (result.exit_code, result.stats.processes, result.stats.threads) == (1, 2, 2)
        jail.run([compiled(OPENER), "open"], stdout=file.fileno()).check()
    assert counts == {"write": 1, "getpid": 2}
    assert (tmp_path / "out").read_text() == "open open!\n"


def test_a_guard_that_comes_while_a_guest_runs_sees_what_was_answered_natively_before() -> None:
    table = vx32py.SystemCalls.linux()
    jail = vx32py.Jail(calls=table)
    seen = []

    @table.define(1000, "now")
    def now(process: Any) -> None:
        jail.on("getpid")(lambda call: seen.append(call.name))

    code = """
        mov eax, 20; int 0x80
        mov eax, 1000; int 0x80
        mov eax, 20; int 0x80
        mov ebx, 0; mov eax, 1; int 0x80
    """
    with jail.sandbox.spawn(image(code, linux=True)) as process:
        process.run()
        assert process.calls["getpid"] == 2
    assert seen == ["getpid"]


def test_calls_that_nobody_knows_are_seen_by_number(jail: vx32py.Jail) -> None:
    assert made(jail, 9999) == -ENOSYS
    jail.on(9999)(lambda call: 7 if call.arguments[:2] == (1, 2) else None)
    assert made(jail, 9999, 1, 2) == 7
    assert made(jail, 9999, 1, 3) == -ENOSYS
    assert made(jail, 9998, 1, 2) == -ENOSYS


def test_one_guard_can_see_everything() -> None:
    names = []

    def guard(call: GuardedCall) -> None:
        names.append(call.name)

    result = vx32py.Jail(guard=guard).run([compiled(CALLER), "9999"]).check()
    assert sorted(names) == sorted(
        [*result.stats.calls.elements(), *(f"call_{n}" for _, n in result.stats.unknown_calls.elements())]
    )
    assert "call_9999" in names
    assert len(names) > 5


def test_guards_are_asked_in_the_order_in_which_they_came_until_one_answers(jail: vx32py.Jail) -> None:
    order = []
    jail.on("getuid32")(lambda call: order.append(1))

    @jail.on("*")
    def second(call: GuardedCall) -> int | None:
        if call.name != "getuid32":
            return None
        order.append(2)
        return 77

    jail.on("getuid32")(lambda call: order.append(3))
    assert made(jail, 199) == 77
    assert order == [1, 2]


def test_a_guard_ends_a_process(jail: vx32py.Jail) -> None:
    jail.on("getpid")(lambda call: call.kill(9))
    result = jail.run([compiled(CALLER), "20"])
    assert (result.exit_code, result.stdout) == (137, b"")


def test_an_exception_of_a_guards_leaves_run_with_its_traceback(jail: vx32py.Jail) -> None:
    @jail.on("getpid")
    def broken(call: GuardedCall) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        made(jail, 20)
    assert caught.traceback[-1].name == "broken"


@pytest.mark.parametrize("answer", ["0", 1.0, True, 1 << 32, -(1 << 31) - 1, b""])
def test_an_answer_that_no_register_holds_is_a_type_error(jail: vx32py.Jail, answer: Any) -> None:
    jail.on("getpid")(lambda call: answer)
    with pytest.raises(TypeError, match="32-bit result"):
        made(jail, 20)


def test_a_name_that_no_call_has_is_refused_with_the_nearest() -> None:
    guards = Guards()
    with pytest.raises(ValueError, match="did you mean 'openat'"):
        guards.add(lambda call: None, "opneat")
    with pytest.raises(ValueError, match="needs the names"):
        guards.add(lambda call: None)
    with pytest.raises(TypeError, match="a guard is a function"):
        guards.add(3, "open")  # type: ignore[arg-type]
    assert not guards


def test_a_class_of_calls_is_seen_by_one_guard(jail: vx32py.Jail) -> None:
    seen = set()
    jail.on("%file")(lambda call: seen.add(call.path))
    opened(jail, "open", "none")
    assert {"open", "none"} <= seen


def test_a_call_through_socketcall_is_seen_as_what_it_stands_for() -> None:
    jail = vx32py.Jail()
    seen = []

    @jail.on("connect")
    def look(call: GuardedCall) -> int:
        seen.append((call.name, call.number, call.address, call["fd"]))
        return 5

    code = f"""
        mov ecx, {DATA}; mov ebx, 3; mov eax, 102; int 0x80
        mov ebx, 2; mov eax, 102; int 0x80
        mov ebx, 0; mov eax, 1; int 0x80
    """
    words = b"".join(word.to_bytes(4, "little") for word in (9, DATA + 16, 16, 0))
    sockaddr = b"\x02\0\x1f\x90\x7f\0\0\1" + bytes(8)
    with jail.sandbox.spawn(image(code, words + sockaddr, linux=True)) as process:
        process.run()
    assert seen == [("connect", 102, ("127.0.0.1", 8080), 9)]


def waiting_jail() -> tuple[vx32py.Jail, list[Any]]:
    """A jail whose call 1000 takes a string, waits until another process has run, and says what the string is then."""
    table = vx32py.SystemCalls.linux()
    used: list[Any] = []

    @table.define(1000, "use")
    def use(process: Any, path: int) -> int:
        used.append(process.memory.read_string(path))
        if not process.progress:
            process.progress = 1
            raise WouldBlock(lambda: True)
        return 0

    return vx32py.Jail(calls=table), used


@pytest.mark.parametrize("guarded", [True, False])
def test_what_a_guard_has_read_is_what_the_handler_reads_when_the_call_is_made_again(*, guarded: bool) -> None:
    """The call waits; while it does, the string is changed (by another thread, or through memory that is shared). Without a
    guard the handler sees that; the guard's copy is what it sees with one, and the guard is not asked twice."""
    jail, used = waiting_jail()
    checked = []
    if guarded:
        jail.on(1000)(lambda call: checked.append(call.read_string(call.arguments[0])))
    code = f"mov ebx, {DATA}; mov eax, 1000; int 0x80; mov ebx, 0; mov eax, 1; int 0x80"
    with jail.sandbox.spawn(image(code, b"good\0", linux=True)) as process:
        assert process.advance() is None
        process.memory.write(DATA, b"evil\0")
        process.run()
        assert process.exit_code == 0
        assert process.memory.read_string(DATA) == b"evil"
    assert used == [b"good", b"good" if guarded else b"evil"]
    assert checked == [b"good"] * guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_a_thread_that_changes_the_path_gets_no_file_that_the_guard_refuses(tmp_path: Path, *, guarded: bool) -> None:
    """It gets both where nobody refuses anything: the path does change. Each path that the guard has let be, and no other,
    is opened."""
    for name in ("good", "evil"):
        (tmp_path / name).write_text(name)
    jail = vx32py.Jail(dirs={"/data": str(tmp_path)}, timeout=60)
    seen: list[str | None] = []
    if guarded:

        @jail.on("%file")
        def look(call: GuardedCall) -> None:
            seen.append(call.path)
            if call.path is not None and call.path != "/data/good":
                raise vx32py.CallError(EACCES)

    good, evil = map(int, jail.run([compiled(RACER, "-pthread")]).check().stdout.split())
    assert good > 0
    assert (evil == 0) is guarded
    if guarded:
        assert seen.count("/data/good") == good
        assert {path for path in seen if path and path.startswith("/data/")} == {"/data/evil", "/data/good"}


def test_a_call_is_another_one_when_it_is_made_anew(jail: vx32py.Jail) -> None:
    seen = []
    jail.on("getuid32")(lambda call: seen.append(call.number))
    code = "mov eax, 199; int 0x80; mov eax, 199; int 0x80; mov ebx, 0; mov eax, 1; int 0x80"
    with jail.sandbox.spawn(image(code, linux=True)) as process:
        process.run()
    assert seen == [199, 199]


MEMORY = vx32py.Sandbox(engine="reference").spawn(image(b"\x90", memory=0x2000))


def memory_of(data: bytes) -> tuple[vx32py.GuestMemory, CopiedMemory]:
    """Guest memory that holds something, and the same with copies."""
    process = vx32py.Sandbox(engine="reference").spawn(image(b"\x90", data))
    return process.memory, CopiedMemory(process.memory)


def test_copies_are_made_while_a_guard_looks_and_win_afterwards() -> None:
    plain, copied = memory_of(b"0123456789\0")
    assert copied.read(DATA + 2, 4) == b"2345"
    copied.recording = False
    plain.write(DATA, b"abcdefghij\0")
    assert copied.read(DATA, 10) == b"ab2345ghij"
    assert copied[DATA + 1 : DATA + 4] == b"b23"
    assert copied[DATA + 2] == ord("2")
    assert copied.read_string(DATA) == b"ab2345ghij"
    assert copied.read_u32(DATA + 4) == int.from_bytes(b"45gh", "little")
    assert bytes(copied.view(DATA, 10)) == b"ab2345ghij"
    assert plain.read(DATA, 10) == b"abcdefghij"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.sampled_from("rwvxs"), st.integers(0, 40), st.integers(0, 40)), max_size=20),
    st.integers(0, 20),
)
def test_copies_are_what_was_read_first_and_written_last(steps: list[tuple[str, int, int]], looks: int) -> None:
    """Against a plain model: for each byte, what it was when it was first read, or what was written since."""
    plain = MEMORY.memory
    base = DATA + 0x1000 - 20  # on two pages
    now = bytearray(range(100, 180))
    plain.write(base, now)
    copied = CopiedMemory(plain)
    known: dict[int, int] = {}
    for number, (what, start, length) in enumerate(steps):
        copied.recording = number < looks
        span = range(start, start + length)
        if what == "w":  # the handler writes
            data = bytes((number + i) & 0xFF for i in span)
            copied.write(base + start, data)
            now[start : start + length] = data
            known.update({i: now[i] for i in span if i in known})
        elif what == "x":  # another thread writes
            data = bytes((number * 7 + i) & 0xFF for i in span)
            plain.write(base + start, data)
            now[start : start + length] = data
        elif what == "v":
            with copied.view(base + start, length, writable=True) as view:
                view[:] = bytes(length)
            now[start : start + length] = bytes(length)
            for i in span:
                known.pop(i, None)
        else:
            expected = bytes(known.get(i, now[i]) for i in span)
            read = copied.read(base + start, length) if what == "r" else bytes(copied.view(base + start, length))
            assert read == expected
            if copied.recording:
                known |= dict(zip(span, expected, strict=True))


def test_an_end_of_string_that_comes_or_goes_later_is_not_the_guards() -> None:
    plain, copied = memory_of(b"/etc/passwd\0")
    assert copied.read_string(DATA) == b"/etc/passwd"
    copied.recording = False
    plain.write(DATA + 4, b"\0")
    assert copied.read_string(DATA) == b"/etc/passwd"
    plain.write(DATA, b"/" * 40)
    assert copied.read_string(DATA) == b"/etc/passwd"


def test_what_a_handler_writes_it_reads_again() -> None:
    plain, copied = memory_of(b"0123456789\0")
    copied.read(DATA, 8)
    copied.recording = False
    copied.write(DATA + 1, b"xy")
    assert copied.read(DATA, 4) == b"0xy3"
    copied.write_u16(DATA + 3, 0x6261)
    assert copied.read(DATA, 6) == b"0xyab5"
    with copied.view(DATA, 4, writable=True) as view:
        view[:] = b"----"
    assert copied.read(DATA, 6) == plain.read(DATA, 6) == b"----b5"


def test_bad_pointers_are_none_for_a_guard_and_efault_for_the_guest(jail: vx32py.Jail) -> None:
    seen: list[Any] = []
    jail.on("open", "execve", "connect")(lambda call: seen.append((call.path, call.argv, call.address)))
    assert made(jail, 5, 0xFFFF_F000) == -errno.EFAULT
    assert (None, [], None) in seen


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (b"", None),
        (b"\x02", None),
        (b"\x02\0\0\x50\x01\x02\x03", None),
        (b"\x02\0\0\x50\x01\x02\x03\x04", ("1.2.3.4", 80)),
        (b"\x0a\0\0\x50" + bytes(4) + bytes(15) + b"\1", ("::1", 80)),
        (b"\x01\0/run/x\0junk", "/run/x"),
        (b"\x01\0\0name", "@name"),
        (b"\x10\0" + bytes(10), None),
    ],
)
def test_addresses_of_sockets_are_read(data: bytes, address: Any) -> None:
    assert parse_sockaddr(data) == address


def test_arguments_that_are_all_the_same_megabyte_do_not_fill_the_hosts_memory() -> None:
    """A guest may point to one long string thousands of times."""
    jail = vx32py.Jail()
    sizes = []
    jail.on("execve")(lambda call: sizes.append(sum(map(len, call.argv))))
    pointers = 2000
    code = f"""
        mov edi, {DATA}; mov ecx, {pointers}; mov eax, {DATA + 0x2000}; rep stosd
        mov edi, {DATA + 0x2000}; mov ecx, {1 << 18}; mov al, 0x78; rep stosb
        mov ebx, {DATA}; mov ecx, {DATA}; mov edx, 0; mov eax, 11; int 0x80
        mov ebx, 0; mov eax, 1; int 0x80
    """
    with jail.sandbox.spawn(image(code, linux=True, memory=0x2000 + (1 << 18) + 0x1000)) as process:
        process.run()
    assert 1 << 18 <= sizes[0] <= 1 << 20


def test_every_message_of_a_call_is_seen_with_its_address() -> None:
    """sendmsg and sendmmsg have their addresses in structures."""
    jail = vx32py.Jail()
    seen: list[Any] = []

    @jail.on("sendmsg", "sendmmsg")
    def look(call: GuardedCall) -> int:
        seen.append((call.address, call.addresses))
        return 0

    first, second = b"\x02\0\0\x35\x08\x08\x08\x08", b"\x02\0\0\x50\x01\x02\x03\x04"
    headers = b"".join(
        (DATA + 0x100 + 8 * i).to_bytes(4, "little") + (8).to_bytes(4, "little") + bytes(24) for i in range(2)
    )
    code = f"""
        mov ebx, 3; mov ecx, {DATA}; mov edx, 0; mov eax, 370; int 0x80
        mov ebx, 3; mov ecx, {DATA}; mov edx, 2; mov esi, 0; mov eax, 345; int 0x80
        mov ebx, 3; mov ecx, {DATA}; mov edx, 0xffffffff; mov esi, 0; mov eax, 345; int 0x80
        mov ebx, 0; mov eax, 1; int 0x80
    """
    data = headers.ljust(0x100, b"\0") + first + second
    with jail.sandbox.spawn(image(code, data, linux=True)) as process:
        process.run()
    both = [("8.8.8.8", 53), ("1.2.3.4", 80)]
    assert seen[:2] == [(both[0], both[:1]), (both[0], both)]
    assert seen[2][1][:2] == both
    assert len(seen[2][1]) <= 1024
