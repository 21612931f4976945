"""Instantiating: from the image of a plug-in to a :class:`vx32py.Plugin` that has run its initialisation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from reference.memory import PAGE
from reference.records import replace
from vx32py import _execution, _loader
from vx32py._errors import BadImage
from vx32py.plugin import declarations
from vx32py.plugin.errors import PluginError
from vx32py.plugin.frames import Callback, Export
from vx32py.plugin.plugin import Plugin
from vx32py.plugin.signatures import Signature

if TYPE_CHECKING:
    from vx32py._module import Module
    from vx32py._process import Process
    from vx32py._sandbox import Sandbox
    from vx32py._streams import Output

#: A function of the host's, or one with the signature that the plug-in must import it with.
HostFunction = Callable[..., Any] | tuple[str, Callable[..., Any]]


def return_page(module: Module) -> int:
    """Where the host maps the page that functions return to: the last one below the image, so that the engine's tables
    hold it together with the image's code. Raises BadImage."""
    page = module.start - PAGE
    if page < _loader.LOWEST:
        raise BadImage(f"the image begins at {module.start:#x}, which leaves no room below it for the host's page")
    return page


def instantiate(
    sandbox: Sandbox,
    module: Module,
    callbacks: Mapping[str, HostFunction],
    *,
    reset: bool,
    stdout: Output,
    stderr: Output,
) -> Plugin:
    """See ``Sandbox.instantiate``."""
    found = declarations.read(module)
    exports = {name: Export(name, _address_of(module, name), signature) for name, signature in found.exports.items()}
    bound = {address: _bind(each, callbacks.get(each.name)) for address, each in found.imports.items()}
    layout = _loader.plan(module, sandbox.memory)
    if layout.stack_end > return_page(module) >= layout.stack_start:
        layout = replace(layout, stack_end=return_page(module))

    def begin(process: Process) -> None:
        process.connect(stdout=stdout, stderr=stderr)
        _execution.start(process, [os.fsencode(module.name)], [])

    process = sandbox.make_alone(module, layout, begin)
    try:
        return Plugin(process, exports, bound, return_page(module), reset=reset)
    except BaseException:
        process.close()
        raise


def _address_of(module: Module, name: str) -> int:
    try:
        return declarations.address_of(module, name)
    except LookupError as error:
        raise BadImage(f"export {name}: {error}") from None


def _bind(found: declarations.Import, given: HostFunction | None) -> Callback:
    """The host's function for an import. Raises PluginError where there is none, or one of another signature."""
    if given is None:
        raise PluginError(f"the plug-in imports {found.name} ({found.signature}), and callbacks has no such function")
    if isinstance(given, tuple):
        text, given = given
        wanted = Signature.parse(text)
        if not wanted.agrees_with(found.signature):
            raise PluginError(f"the plug-in imports {found.name} as {found.signature}; the host has it as {wanted}")
    if not callable(given):
        raise TypeError(f"callback {found.name} is {type(given).__name__}, not a function")
    return Callback(found.name, found.signature, given)
