"""Which devices a kernel has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vx32py.plan9.devices.cons import Cons
from vx32py.plan9.devices.dup import dup_device
from vx32py.plan9.devices.env import env_device
from vx32py.plan9.devices.hosttree import HostTrees
from vx32py.plan9.devices.ip.device import Ip
from vx32py.plan9.devices.mnt import Mnt
from vx32py.plan9.devices.nodes import Folder, SingleDevice
from vx32py.plan9.devices.pipe import Pipes
from vx32py.plan9.devices.proc import proc_device
from vx32py.plan9.devices.ram import Ram
from vx32py.plan9.devices.root import FOLDERS, MORE_FOLDERS, TREES, Root
from vx32py.plan9.devices.srv import Services

if TYPE_CHECKING:
    from vx32py._network import Network
    from vx32py.plan9.chan import Device
    from vx32py.plan9.devices.streams import Sink, Source
    from vx32py.plan9.kernel import Kernel
    from vx32py.vfs.host import HostTree


def devices_of(
    kernel: Kernel,
    source: Source,
    sink: Sink,
    trees: Mapping[str, HostTree],
    network: Network,
    hosts: Mapping[str, str],
) -> dict[str, Device]:
    """By letter. ``o`` has the application's own objects."""
    found: tuple[Device, ...] = (
        _root(trees), Cons(kernel, source, sink), env_device(), dup_device(), Pipes(kernel.account), Services(), Mnt(), Ram(), proc_device(kernel),
        SingleDevice("o", Folder("#o")),
    )  # fmt: skip
    if trees:
        found += (HostTrees(trees, kernel.user),)
    if not network.nothing:
        found += (Ip(network, hosts, lambda: kernel.sysname),)
    return {device.letter: device for device in found}


def _root(trees: Mapping[str, HostTree]) -> Root:
    """With what the granted root does not have, and a place for each of the other trees."""
    granted = trees.get("")
    made = Root(FOLDERS + tuple(n for n in MORE_FOLDERS if granted is None or not os.path.isdir(f"{granted.path}/{n}")))
    places = made.folder.nodes[TREES]
    assert isinstance(places, Folder)
    for name in trees:
        if name:
            places.add(Folder(name))
    return made
