"""The life of a plug-in: closing, interrupting, signals and threads in the middle of calls; and what it may use."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from images import DATA
from plugin_images import ENTRY, import_address, plugin_image

import vx32py
from vx32py import Plugin, PluginClosed, PluginError, PluginInterrupted, Sandbox, SystemCalls

_LINES = ["export count none -> u32", "export forever none -> none", "export write u32 -> i32", "export ask none -> u32",
          "export read none -> i32", "import tell none -> u32"]  # fmt: skip
_AT = {"count": ENTRY + 16, "forever": ENTRY + 32, "write": ENTRY + 48, "ask": ENTRY + 96, "read": ENTRY + 128}
IMAGE = plugin_image(
    f"""
    ret
    .org 16; inc dword ptr [{DATA}]; mov eax, [{DATA}]; ret
    .org 32; 1: jmp 1b
    .org 48; push ebx; mov edx, [esp + 8]; mov ecx, {ENTRY}; mov ebx, 5; mov eax, 4; syscall; pop ebx; ret
    .org 96; mov ecx, esp; mov edx, {import_address(_LINES, "tell"):#x}; int 0x71; ret
    .org 128; push ebx; mov edx, 0; mov ecx, {DATA + 64}; mov ebx, 5; mov eax, 3; syscall; pop ebx; ret
    """,
    _LINES,
    _AT,
)


def instantiate(tell: Callable[[], int] = lambda: 1, **options: object) -> Plugin:
    return Sandbox(**{"timeout": 30, **options}).instantiate(IMAGE, {"tell": tell})  # type: ignore[arg-type]


@pytest.fixture
def soon() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Does something in another thread, a little later."""
    threads = []

    def do(what: Callable[[], object]) -> None:
        threads.append(threading.Timer(0.1, what))
        threads[-1].start()

    yield do
    for thread in threads:
        thread.join()


def test_interrupt_ends_a_call_and_the_next_one_works(
    engine_name: str, soon: Callable[[Callable[[], object]], None]
) -> None:
    with instantiate(engine=engine_name) as plugin:
        plugin.call("count")
        soon(plugin.interrupt)
        with pytest.raises(PluginInterrupted, match="forever: interrupted"):
            plugin.call("forever")
        assert plugin.call("count") == 1


def test_a_call_ends_when_another_thread_closes_the_plugin(
    engine_name: str, soon: Callable[[Callable[[], object]], None]
) -> None:
    box = Sandbox(engine=engine_name, timeout=60, guests=1)
    for _ in range(2):  # its place is free again
        plugin = box.instantiate(IMAGE, {"tell": lambda: 1})
        soon(plugin.close)
        with pytest.raises(PluginClosed):
            plugin.call("forever")
        with pytest.raises(PluginClosed):
            plugin.call("count")
        plugin.close()


def test_a_plugin_that_is_closed_while_a_callback_runs_goes_when_that_is_over() -> None:
    entered, closed = threading.Event(), threading.Event()

    def tell() -> int:
        entered.set()
        assert closed.wait(20)
        return 1

    def close() -> None:
        assert entered.wait(20)
        plugin.close()
        closed.set()

    box = Sandbox(guests=1)
    for _ in range(2):
        entered.clear()
        closed.clear()
        plugin = box.instantiate(IMAGE, {"tell": tell})
        thread = threading.Thread(target=close)
        thread.start()
        with pytest.raises(PluginClosed):
            plugin.call("ask")
        thread.join()


def test_a_signal_handler_cannot_call_a_plugin_that_runs() -> None:
    found: list[str] = []

    def handler(number: int, frame: object) -> None:
        try:
            plugin.call("count")
        except PluginError as error:
            found.append(str(error))
        plugin.interrupt()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with instantiate() as plugin:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(PluginInterrupted):
                plugin.call("forever")
            assert plugin.call("count") == 1
    finally:
        signal.signal(signal.SIGALRM, before)
    assert found == ["count: it is called while it runs, by a signal handler perhaps"]


def test_an_exception_of_a_signal_handlers_ends_a_call(engine_name: str) -> None:
    def handler(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with instantiate(engine=engine_name) as plugin:
            plugin.call("count")
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt):
                plugin.call("forever")
            assert plugin.call("count") == 1
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_may_close_a_plugin_that_runs() -> None:
    before = signal.signal(signal.SIGALRM, lambda number, frame: plugin.close())
    box = Sandbox(timeout=60, guests=1)
    try:
        for _ in range(2):
            plugin = box.instantiate(IMAGE, {"tell": lambda: 1})
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(PluginClosed):
                plugin.call("forever")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_another_thread_waits_for_its_turn() -> None:
    order: list[str] = []
    plugin: Plugin

    def other() -> None:
        plugin.call("count")
        order.append("other")

    def tell() -> int:
        thread.start()
        time.sleep(0.1)
        order.append("callback")
        return 1

    thread = threading.Thread(target=other)
    with instantiate(tell) as plugin:
        plugin.call("ask")
        thread.join()
    assert order == ["callback", "other"]


def test_several_plugins_run_at_the_same_time_in_several_threads(engine_name: str) -> None:
    """Two that wait for each other in callbacks: if one of them held up the other, neither would come back."""
    meeting = threading.Barrier(2, timeout=60)
    found: list[int] = []

    def tell() -> int:
        return meeting.wait() + 10

    def work() -> None:
        with instantiate(tell, engine=engine_name) as plugin:
            found.extend(plugin.call("ask") for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [10] * 20 + [11] * 20


def test_time_in_callbacks_is_the_hosts_own() -> None:
    counted: list[float] = []

    def tell() -> int:
        counted.append(plugin._process.family.seconds)
        time.sleep(0.05)
        counted.append(plugin._process.family.seconds)
        return 1

    with instantiate(tell) as plugin:
        assert plugin.call("ask") == 1
    assert counted[0] == counted[1] > 0


def test_a_call_within_a_call_counts_for_the_outermost_ones_limits(engine_name: str) -> None:
    """Or a plug-in and a callback would go on for ever between them."""
    with instantiate(lambda: plugin.call("count"), engine=engine_name, fuel=30) as plugin:
        assert plugin.call("ask") == 1
    box = Sandbox(engine=engine_name, fuel=100)
    with box.instantiate(IMAGE, {"tell": lambda: plugin.call("ask")}) as plugin:
        with pytest.raises(vx32py.LimitExceeded) as caught:
            plugin.call("ask")
        assert caught.value.limit == "fuel"


def test_what_it_writes_can_be_captured_or_led_elsewhere(engine_name: str) -> None:
    with instantiate(engine=engine_name) as plugin:
        assert plugin.call("write", 1) == 5
        assert plugin.call("write", 2) == 5
        assert (plugin.stdout, plugin.stderr) == (b"", plugin.space.read(ENTRY, 5))
        assert plugin.call("read") == 0  # nothing to read
    target = io.BytesIO()
    with Sandbox(engine=engine_name).instantiate(IMAGE, {"tell": lambda: 1}, stdout=target) as plugin:
        plugin.call("write", 1)
        plugin.call("write", 1)
        assert len(target.getvalue()) == 10


def test_system_calls_of_the_hosts_own_serve_plugins_too(engine_name: str) -> None:
    table = SystemCalls.vx()

    @table.define(4, "write")
    def write(process: object, fd: int) -> int:
        if fd == 9:
            raise ValueError("from a handler")
        return fd * 2

    with instantiate(engine=engine_name, calls=table) as plugin:
        assert plugin.call("write", 21) == 42
        with pytest.raises(ValueError, match="from a handler"):
            plugin.call("write", 9)
        assert plugin.call("count") == 1


def test_closing_is_for_good_and_gives_everything_back() -> None:
    def closed() -> Plugin:
        plugin = Sandbox().instantiate(module, {"tell": lambda: 1})
        plugin.call("count")
        plugin.close()
        plugin.close()
        return plugin

    module = vx32py.Module.from_bytes(IMAGE)
    closed()

    descriptors = len(os.listdir("/proc/self/fd"))
    plugins = [closed() for _ in range(20)]
    last = plugins[-1]
    for use in (lambda: last.call("count"), last.reset, lambda: last.pointer(0), lambda: last.stdout):
        with pytest.raises(PluginClosed, match="the plug-in is closed"):
            use()
    assert repr(last) == "<Plugin guest: closed>"
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 3
