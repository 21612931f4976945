"""What a thread of the soak does with guests: stories, each of which begins and ends within a moment and is checked.

A story is a function of an :class:`Actor`, which has all that it needs, and a source of randomness made from the seed that
is said when it goes wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import vx32py
from conformance.soak import benign, hostile, programs
from vx32py import Vector

#: Seconds after which a guest that should have ended long ago is stuck. Much: the machine may have other things to do.
PATIENCE: Final = 120.0
_KILLED: Final = 128 + 9


class Shared:
    """What all threads have in common: one table of calls, and snapshots that come and go."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.scale = 20 if engine == "jit" else 1
        self.table = vx32py.SystemCalls.vx()
        self.policy = vx32py.Policy.default()
        self.lock = threading.Lock()
        self.snapshots: list[tuple[vx32py.Sandbox, vx32py.Snapshot, int]] = []

        @self.table.define(100, "add")
        def add(process: Any, a: int, b: int) -> int:
            return a + b & 0x7FFF_FFFF

    def sandbox(self, rng: random.Random, **options: Any) -> vx32py.Sandbox:
        """A sandbox of some size: one guest may be at linear address zero, others are elsewhere."""
        memory = rng.choice(("4M", "8M", "8M", "16M"))
        chosen: dict[str, Any] = {
            "memory": memory,
            "calls": self.table,
            "policy": self.policy,
            "native_answers": rng.random() < 0.8,
        }
        return vx32py.Sandbox(engine=self.engine, **(chosen | options))


class Actor:
    """One story's share."""

    def __init__(self, shared: Shared, seed: int) -> None:
        self.shared = shared
        self.rng = random.Random(seed)  # noqa: S311 - reproducible, not secret

    def sandbox(self, **options: Any) -> vx32py.Sandbox:
        """A sandbox of some size."""
        return self.shared.sandbox(self.rng, **({"timeout": PATIENCE} | options))

    def counter(self, **options: Any) -> tuple[vx32py.Process, int]:
        """A process that will count to a number for some milliseconds."""
        steps = self.rng.choice((1, 1000, 40_000 * self.shared.scale))
        process = self.sandbox(**options).spawn(programs.counter())
        process.memory.write_u32(programs.DATA, steps)
        return process, steps

    def moment(self) -> float:
        """Some time, in seconds: nothing, or up to some milliseconds."""
        return self.rng.choice((0.0, 10 ** self.rng.uniform(-5.0, -2.0)))


@contextlib.contextmanager
def meanwhile(function: Callable[[], None]) -> Iterator[None]:
    """Have another thread do something; what it raises is raised here."""
    problems: list[BaseException] = []

    def body() -> None:
        try:
            function()
        except BaseException as problem:  # noqa: BLE001 - raised again below
            problems.append(problem)

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)
    assert not thread.is_alive(), "a thread hangs"
    if problems:
        raise problems[0]


def compute(actor: Actor) -> None:
    """A program with a known result."""
    job = benign.make(actor.rng, actor.shared.scale)
    result = actor.sandbox().run(job.module, job.args, stdin=job.stdin)
    assert result.stdout == job.expected, f"{job.name} {job.args}: {result.stdout[:80]!r}, {result.describe()}"


def compress(actor: Actor) -> None:
    """There and back again."""
    module, data = benign.round_trip(actor.rng, actor.shared.scale)
    box = actor.sandbox(memory="16M")
    packed = box.run(module, ["-c"], stdin=data).check().stdout
    assert box.run(module, ["-d"], stdin=packed).check().stdout == data, "lz changed what it was given"


def attack(actor: Actor) -> None:
    """A hostile guest: it ends as it must."""
    guest = hostile.make(actor.rng)
    options = {"output_limit": guest.output} if guest.output is not None else {}
    box = actor.sandbox(memory="8M", timeout=guest.timeout or PATIENCE, **options)
    hostile.check(guest, box.run(guest.module))


def interrupted(actor: Actor) -> None:
    """Interrupted again and again from another thread, it counts as if nothing had been."""
    process, steps = actor.counter()
    pauses = [actor.moment() for _ in range(actor.rng.randrange(1, 12))]

    def disturb() -> None:
        for pause in pauses:
            time.sleep(pause)
            process.interrupt()

    with process:
        with meanwhile(disturb):
            while process.run().number == Vector.IRQ:
                pass
        programs.expect(process, steps)


def killed(actor: Actor) -> None:
    """Killed from another thread at some time, or done before."""
    process, steps = actor.counter()
    pause = actor.moment()

    def kill() -> None:
        time.sleep(pause)
        process.kill()

    with process:
        with meanwhile(kill), contextlib.suppress(ValueError):  # it had been killed before it began
            process.run()
        if process.exit_code != _KILLED:
            programs.expect(process, steps)


def closed(actor: Actor) -> None:
    """Closed by another thread while it runs, or before, or behind: an error, or a result."""
    process, _ = actor.counter()
    pause = actor.moment()

    def close() -> None:
        time.sleep(pause)
        process.close()

    with meanwhile(close):
        try:
            process.run()
            found = process.exit_code
        except ValueError:
            return
    assert found in (programs.GOOD, _KILLED), f"closed while it ran, and it exited with {found}"
    process.close()


def travels(actor: Actor) -> None:
    """A process that is run by one thread after the other, which end meanwhile."""
    process, steps = actor.counter()
    with process:
        process.interrupt()
        with meanwhile(lambda: _stops(process)):
            pass
        with meanwhile(lambda: _stops(process, again=False)):
            pass
        programs.expect(process, steps)


def _stops(process: vx32py.Process, *, again: bool = True) -> None:
    if again:
        assert process.run().number == Vector.IRQ
    else:
        process.run()


def goes_back(actor: Actor) -> None:
    """Snapshots: there and back, in this process and in others, of which some are left for other threads."""
    process, steps = actor.counter()
    with process:
        start = process.snapshot()
        for _ in range(actor.rng.randrange(1, 5)):
            if actor.rng.random() < 0.5:
                process.interrupt()
                process.run()
            else:
                process.run()
                programs.expect(process, steps)
            process.restore(start)
        box = process.sandbox
    with box.spawn_from(start) as other:
        other.run()
        programs.expect(other, steps)
    with actor.shared.lock:
        actor.shared.snapshots.append((box, start, steps))
        del actor.shared.snapshots[:-8]


def takes_over(actor: Actor) -> None:
    """Goes on from a snapshot that another thread has taken, perhaps at the same time as others."""
    with actor.shared.lock:
        if not actor.shared.snapshots:
            return
        box, snapshot, steps = actor.rng.choice(actor.shared.snapshots)
    with box.spawn_from(snapshot) as process:
        process.run()
        programs.expect(process, steps)


def forks(actor: Actor) -> None:
    """The guest's own fork."""
    result = actor.sandbox(memory="4M").run(programs.forker(actor.rng.randrange(1, 6)))
    assert result.exit_code == programs.GOOD, result.describe()


def host_forks(actor: Actor) -> None:
    """The host's: the child runs guests while other threads of the parent do, and ends."""
    process, steps = actor.counter()
    seed = actor.rng.getrandbits(32)
    with process:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                process.run()
                programs.expect(process, steps)
                in_child = Actor(Shared(actor.shared.engine), seed)
                compute(in_child)
                interrupted(in_child)
                code = 0
            except BaseException:  # noqa: BLE001 - the child ends here, whatever it is
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(code)
        process.run()
        programs.expect(process, steps)
    until = time.monotonic() + PATIENCE
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > until:
            os.kill(child, 6)  # faulthandler shows where it stands
            os.waitpid(child, 0)
            raise AssertionError("the child of a fork hangs")
        time.sleep(0.002)
    assert status == 0, f"the child of a fork ended with status {status:#x}"


def starts_programs(actor: Actor) -> None:
    """Another program, started while guests run."""
    done = subprocess.run(["/bin/echo", "hello"], capture_output=True, check=True, timeout=PATIENCE)
    assert done.stdout == b"hello\n"
    compute(actor)


def changes_tables(actor: Actor) -> None:
    """The table that all use gets other calls while it is used."""
    number = 200 + actor.rng.randrange(8)
    result = actor.rng.randrange(1000)
    table = vx32py.SystemCalls.vx()

    def extra(process: vx32py.Process) -> int:
        return result

    for each in (actor.shared.table, table):
        each.define(number, f"extra{number}")(extra)
    text = f"mov eax, {number}\n syscall\n cmp eax, {result}\n jne bad\n"
    text += f"mov edx, {programs.GOOD}\n mov eax, 1\n syscall\n bad: mov edx, 1\n mov eax, 1\n syscall\n"
    ended = actor.sandbox(calls=table).run(vx32py.Module.from_bytes(programs.image(programs.assembled(text))))
    assert ended.exit_code == programs.GOOD, ended.describe()


def forgets(actor: Actor) -> None:
    """Processes that nobody closes, one of which somebody has a view of."""
    process, steps = actor.counter()
    view = process.memory.view(programs.DATA, 16, writable=True)
    process.run()
    programs.expect(process, steps)
    del process
    if actor.rng.random() < 0.1:
        gc.collect()
    assert int.from_bytes(view[4:8], "little") == programs.after(steps)


def awaits(actor: Actor) -> None:
    """Guests beside each other in an event loop."""

    async def both() -> None:
        await asyncio.gather(*(asyncio.to_thread(compute, Actor(actor.shared, seed)) for seed in seeds))

    seeds = [actor.rng.getrandbits(32) for _ in range(2)]
    asyncio.run(both())


STORIES: Final[dict[Callable[[Actor], None], int]] = {
    compute: 10, compress: 2, attack: 16, interrupted: 6, killed: 4, closed: 6, travels: 3, goes_back: 5, takes_over: 4,
    forks: 3, host_forks: 2, starts_programs: 2, changes_tables: 3, forgets: 4, awaits: 1,
}  # fmt: skip


def choose(rng: random.Random) -> Callable[[Actor], None]:
    """One of the stories, as often as their numbers say."""
    return rng.choices(list(STORIES), weights=list(STORIES.values()))[0]
