"""A host and its plug-in: python examples/plugin.py plugin.elf, where "vx32py cc --plugin examples/plugin.c" has made that."""

import sys
import zlib

import vx32py

TEXT = b"the quick brown fox jumps over the lazy dog, and the fox does it again"

places: list[int] = []


def found(place: int) -> bool:
    """The plug-in calls this; two places are enough."""
    places.append(place)
    return len(places) < 2


box = vx32py.Sandbox(memory="16M", timeout=5)
with box.instantiate(sys.argv[1], callbacks={"found": found}) as plugin:
    for name, signature in plugin.functions.items():
        print(f"{name:9} {signature}")

    assert plugin.call("crc32", TEXT) == zlib.crc32(TEXT)
    assert plugin.call("reversed", TEXT) == TEXT[::-1]

    print("fox:", plugin.call("search", TEXT, b"fox"), "found, at", places)

    # Between calls a plug-in keeps what it has, until it is reset.
    plugin.call("add", TEXT[:30])
    plugin.call("add", TEXT[30:])
    assert plugin.call("sum") == zlib.crc32(TEXT)
    plugin.reset()
    assert plugin.call("sum") == 0

    # Its memory is within reach, as far as it goes.
    table = plugin.call("lookup")
    print("table:", [hex(word) for word in table.unpack("<3I")], "then", hex((table + 12).read_u32()))
    try:
        table.bytes(1 << 30)
    except vx32py.MemoryFault as error:
        print("refused:", error)

    # What goes wrong in there is an exception out here, and the next call finds the plug-in in order.
    try:
        plugin.call("divide", 1, 0)
    except vx32py.PluginTrapped as error:
        print("trapped:", error)
    assert plugin.call("divide", 42, 6) == 7
