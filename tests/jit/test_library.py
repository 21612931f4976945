"""Translated code on disk serves the next process with the same program, policy and pages, and nobody else."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import ENTRY, PROGRAM, image

from jit import diskcache, library
from reference.cache import rebased
from reference.memory import PAGE
from reference.policy import Policy
from reference.translator import translate
from reference.traps import Access
from vx32py import Module, Process, Result, Sandbox, SystemCalls
from vx32py._engines import unavailable

pytestmark = pytest.mark.skipif(unavailable("jit") is not None, reason=str(unavailable("jit")))

#: Where the number is in the second function.
NUMBER = ENTRY + image(PROGRAM)[0x1000:].index(b"\xb8\x2a\0\0\0") + 1


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty cache. The compiled translator is not in it, nor built for it: fragments are the same without."""
    monkeypatch.setenv("VX32PY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VX32PY_NO_NUMBA", "1")
    monkeypatch.setattr(library._process, "used", True)
    library.forget()
    yield tmp_path / "cache"
    library.forget()


def run(program: str = PROGRAM, **options: object) -> Result:
    """Run a program as a process would that has just been started."""
    library.forget()
    return Sandbox(engine="jit", **options).run(Module.from_bytes(image(program)))  # type: ignore[arg-type]


def translated(result: Result) -> int:
    return result.stats.counters.fragments


def entries(place: Path) -> list[Path]:
    return [path for path in sorted(place.iterdir()) if len(path.name) == 64]


def test_the_next_process_translates_nothing(place: Path) -> None:
    first = run()
    assert (first.exit_code, translated(first) > 0) == (42, True)
    written = {path: path.stat().st_mtime_ns for path in entries(place)}
    assert len(written) == 1
    second = run()
    assert (second.exit_code, translated(second)) == (42, 0)
    assert {path: path.stat().st_mtime_ns for path in entries(place)} == written, "there was nothing new"


def test_code_that_counts_fuel_and_code_that_does_not_are_kept_apart() -> None:
    assert translated(run()) > 0
    first, second = run(fuel=1000), run(fuel=1000)
    assert (translated(first) > 0, translated(second)) == (True, 0)
    for result in (first, second):
        assert (result.exit_code, result.stats.counters.instructions) == (42, 6)
    assert translated(run()) == 0, "there is room for both"


def test_a_real_process_finds_it(tmp_path: Path, place: Path) -> None:
    program = tmp_path / "guest.elf"
    program.write_bytes(image(PROGRAM))
    for expected in (False, True):
        done = subprocess.run(
            [sys.executable, "-m", "vx32py", "run", "--engine=jit", "--stats", program],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 42, done.stderr
        assert ("fragments:        0\n" in done.stderr) is expected
    assert len(entries(place)) >= 1


def test_it_is_written_and_read_by_nobody_else(place: Path) -> None:
    run()
    (entry,) = entries(place)
    assert (entry.stat().st_mode & 0o777, place.stat().st_mode & 0o777) == (0o600, 0o700)
    for path, mode, back in (
        (entry, 0o620, 0o600),
        (entry, 0o602, 0o600),
        (place, 0o770, 0o700),
        (place, 0o707, 0o700),
    ):
        path.chmod(mode)
        assert translated(run()) > 0
        path.chmod(back)
    assert translated(run()) == 0


def test_a_link_is_not_followed(place: Path, tmp_path: Path) -> None:
    run()
    (entry,) = entries(place)
    shutil.move(entry, tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "elsewhere")
    assert translated(run()) > 0
    assert not entry.is_symlink(), "it has been replaced"
    assert translated(run()) == 0


def test_every_flipped_bit_is_noticed(place: Path) -> None:
    run()
    (entry,) = entries(place)
    good = entry.read_bytes()
    assert diskcache.load(entry.name) is not None
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << random.randrange(8)
        entry.write_bytes(bad)
        assert diskcache.load(entry.name) is None, f"at {position}"
    for cut in (0, 1, 39, 40, 41, len(good) - 1):
        entry.write_bytes(good[:cut])
        assert diskcache.load(entry.name) is None


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\0" * 5000])
def test_damaged_files_are_replaced(place: Path, damage: bytes) -> None:
    run()
    (entry,) = entries(place)
    good = entry.read_bytes()
    for bad in (damage, good[:100] + damage + good[100:], good[: len(good) // 2]):
        if bad == good:
            continue
        entry.write_bytes(bad)
        result = run()
        assert (result.exit_code, translated(result) > 0) == (42, True)
        assert translated(run()) == 0


def test_an_entry_that_is_whole_but_nonsense_is_ignored(place: Path) -> None:
    import marshal

    run()
    (entry,) = entries(place)
    for nonsense in (b"", b"\xff", marshal.dumps(7), marshal.dumps({(None, 0): (1, 2)}), marshal.dumps([1])):
        diskcache.save(entry.name, nonsense)
        assert run().exit_code == 42


def test_other_programs_and_policies_share_nothing(place: Path) -> None:
    run()
    assert translated(run(PROGRAM.replace("42", "43"))) > 0
    assert translated(run(policy=Policy.integer_only())) > 0
    assert len(entries(place)) == 3
    assert translated(run()) == 0


def test_other_sources_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.setattr(library, "_stamp", lambda: "another state of the sources")
    assert translated(run()) > 0


def test_what_the_stamp_covers_is_there() -> None:
    stamp = library._stamp()
    for name in ("reference/translator/emit.py", "reference/layout.py", "reference/runtime.py", "reference/isa/decode.py",
                 "jit/passes/emit.py", "jit/stencils.s", "jit/stubs.s", "jit/library.py"):  # fmt: skip
        assert f"{name} " in stamp


def test_the_cache_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    run()
    monkeypatch.setenv("VX32PY_CACHE", "")
    assert translated(run()) > 0
    monkeypatch.setenv("VX32PY_CACHE", str(place))
    assert translated(run()) == 0


def altered(change: bytes, *, after: int = 0) -> tuple[int | None, int]:
    """Exit code and number of translations of a guest whose host has changed its code before it ran."""
    library.forget()
    with Sandbox(engine="jit").spawn(Module.from_bytes(image(PROGRAM))) as process:
        for _ in range(after):
            process.step()
        process.engine.space.store(NUMBER, change)
        process.run()
        return process.exit_code, process.engine.stats.fragments


def test_a_guest_with_other_bytes_does_not_get_the_code() -> None:
    run()
    assert altered(b"\x2a") == (42, 0)
    assert altered(b"\x2b") == (43, 2)
    result = run()
    assert result.exit_code == 42, "and what that guest has left does not reach others"
    assert altered(b"\x2c")[0] == 44


def test_code_that_changes_while_it_runs_is_translated_anew() -> None:
    """Borrowed, then changed by a system call, then run again: at each change the new bytes count."""
    program = """
        xor esi, esi
    2:  call 1f
        add esi, eax
        mov eax, 100
        syscall
        cmp esi, 100
        jb 2b
        mov edx, esi
        mov eax, 1
        syscall
    .balign 16
    1:  mov eax, 42
        ret
    """
    number = ENTRY + image(program)[0x1000:].index(b"\xb8\x2a\0\0\0") + 1
    calls = SystemCalls.vx()
    numbers: list[int] = []

    @calls.define(100, "change")
    def change(process: Process) -> None:
        if numbers:
            process.engine.space.store(number, bytes([numbers.pop(0)]))

    for wanted in ([], [1, 100], [30, 40], []):
        numbers[:] = wanted
        expected = {0: 42 * 3, 2: 42 + sum(wanted)}[len(wanted)]
        assert run(program, calls=calls).exit_code == expected


def test_pages_that_can_be_written_are_not_kept(place: Path) -> None:
    program = Module.from_bytes(image(PROGRAM))
    for _ in range(2):
        library.forget()
        with Sandbox(engine="jit").spawn(program) as process:
            process.engine.space.protect(ENTRY & -PAGE, PAGE, Access.RWX)
            process.run()
            assert process.exit_code == 42
            assert process.engine.stats.fragments > 0
    assert not place.exists() or not entries(place)


def test_borrowed_code_is_refused_where_the_page_has_become_writable() -> None:
    run()
    library.forget()
    with Sandbox(engine="jit").spawn(Module.from_bytes(image(PROGRAM))) as process:
        process.engine.space.protect(ENTRY & -PAGE, PAGE, Access.RWX)
        process.run()
        assert (process.exit_code, process.engine.stats.fragments > 0) == (42, True)


def test_faults_in_borrowed_code_are_precise() -> None:
    program = "mov ecx, 5; mov eax, [0x20]; syscall"
    first, second = run(program), run(program)
    assert translated(second) == 0
    assert str(first.trap) == str(second.trap)
    assert "0x00000020" in str(first.trap)


def test_code_of_several_runs_adds_up() -> None:
    """Each run takes another branch, and finds what the earlier ones have translated."""
    program = """
        mov eax, [esp]
        cmp eax, 2
        je 2f
        ja 3f
        mov edx, 1; mov eax, 1; syscall
    2:  mov edx, 2; mov eax, 1; syscall
    3:  mov edx, 3; mov eax, 1; syscall
    """
    seen = []
    for count in (1, 2, 3, 1, 2, 3):
        library.forget()
        result = Sandbox(engine="jit").run(Module.from_bytes(image(program)), ["x"] * (count - 1))
        assert result.exit_code == count
        seen.append(translated(result))
    assert all(seen[:3])
    assert not any(seen[3:])


def test_many_at_once(tmp_path: Path, place: Path) -> None:
    program = tmp_path / "guest.elf"
    program.write_bytes(image(PROGRAM))
    command = [sys.executable, "-m", "vx32py", "run", "--engine=jit", str(program)]
    for _ in range(2):
        children = [subprocess.Popen(command) for _ in range(6)]
        assert [child.wait(timeout=120) for child in children] == [42] * 6
    assert not [path for path in place.iterdir() if path.name.startswith(".")]
    assert translated(run()) == 0


def test_threads_share_a_library() -> None:
    codes: list[int | None] = []

    def work() -> None:
        codes.extend(Sandbox(engine="jit").run(Module.from_bytes(image(PROGRAM))).exit_code for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [42] * 15


def test_the_oldest_go_when_there_are_too_many_bytes(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(diskcache, "_MOST_BYTES", 10_000)
    keys = [diskcache.key_of(str(number)) for number in range(12)]
    for age, key in enumerate(keys):
        assert diskcache.save(key, bytes(1000))
        os.utime(place / key, (age, age))
    assert 4 <= len(entries(place)) <= 10
    assert diskcache.load(keys[-1]) is not None
    assert diskcache.load(keys[0]) is None


def test_clearing_removes_what_is_ours_and_nothing_else(place: Path) -> None:
    run()
    key = diskcache.key_of("x")
    for name in (f".{key}.1.abcd", f"{key}.lock", ".profile", "letter.txt"):
        (place / name).write_text("")
    assert diskcache.usage()[0] == 1
    assert diskcache.clear() == 1
    assert sorted(path.name for path in place.iterdir()) == [".profile", "letter.txt"]
    assert diskcache.usage() == (0, 0)
    assert translated(run()) > 0


def test_code_for_another_origin_is_what_the_translator_makes_for_it() -> None:
    code = image("call 1f; call [eax + 8]; test eax, eax; jz 1f; call 1f; int3; 1: ret")[0x1000:0x1040]
    made = {
        origin: translate(code, ENTRY, Policy.default(), offset=0x1000, origin=origin)
        for origin in (0, 0x1000_0000, 0xFEF0_0000)
    }
    assert len(made[0].landings) > 2
    for old, fragment in made.items():
        for new, expected in made.items():
            assert rebased(fragment.code, fragment.offset, fragment.landings, old, new) == expected.code
    with pytest.raises(ValueError, match="not found"):
        rebased(made[0].code, 0x1000, made[0].landings, 0x1234, 0)


def test_what_killed_processes_leave_behind_goes_after_a_day(place: Path) -> None:
    run()
    key = diskcache.key_of("x")
    old, young, foreign = place / f".{key}.1.abcd", place / f".{key}.2.abcd", place / ".profile"
    for path in (old, young, foreign):
        path.write_text("")
    for path in (old, foreign):
        os.utime(path, (1, 1))
    assert diskcache.save(key, b"")
    assert [path.exists() for path in (old, young, foreign)] == [False, True, True]


def test_fragment_borrowed_after_a_flush_was_put_on_top_of_another() -> None:
    """Nothing was borrowed between the flush and the moment when new fragments had passed the end of the borrowed ones."""
    chain = "jmp 3f; .balign 64; 3: inc ebx;" * 40
    code = f"""
        test ebx, ebx; jne 1f; mov eax, {ENTRY + 0x40}; jmp eax
        .org 0x40; mov edx, ebx; mov eax, 1; syscall
        .balign 64; 1: int3; {chain} mov eax, {ENTRY + 0x40}; jmp eax
    """
    assert run(code).exit_code == 0
    library.forget()
    with Sandbox(engine="jit").spawn(Module.from_bytes(image(code))) as process:
        process.registers.ebx = 1
        process.run()
        cache = process.engine._cache  # type: ignore[attr-defined]
        cache.flush()  # as if it had been full
        process.run()
        assert process.exit_code == 41
        fragments = cache.fragments()
        assert all(one.end <= other.offset for one, other in itertools.pairwise(fragments))
