"""The one place where engines are made. Nothing is imported before it is asked for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from reference.errors import EngineUnavailable
from vx32py._errors import UnsupportedHost

if TYPE_CHECKING:
    from reference.engine import Engine
    from reference.memory import AddressSpace
    from reference.policy import Policy

#: Fastest first.
NAMES: Final = ("jit", "translated", "reference")


def create(
    name: str,
    *,
    limit: int,
    budget: int,
    policy: Policy,
    program: object = None,
    verify: bool = False,
    metered: bool = False,
    space: AddressSpace | None = None,
    prefer_zero: bool = True,
    small: bool = False,
) -> Engine:
    """An engine with an empty address space of ``limit`` bytes, of which ``budget`` bytes may be mapped; or with the
    ``space`` of another engine of that name, which must not be closed before this one (a second thread). ``prefer_zero``:
    whether it may have the place that is the quickest, which only one guest of a process can have. ``small``: whether it
    should rather need little room below 4 GiB than be quick.

    Engines of the same ``program`` (the same object) may share what they found out about its code. With ``verify``, no
    translated code is reached that the verifier has not accepted. ``metered``: there will be a limit of instructions
    (:meth:`reference.engine.Engine.run_for`), which all engines can have, but this one is ready for.

    ``name`` is auto, jit, translated or reference. Raises ValueError for another name, UnsupportedHost where the engine
    cannot run, or where others have taken what it needs.
    """
    check(name)
    chosen = NAMES[0] if name == "auto" else name
    try:
        engine = _make(chosen, limit, budget, policy, program, metered, space, prefer_zero=prefer_zero, small=small)
    except (EngineUnavailable, ImportError) as error:
        if name != "auto":
            raise UnsupportedHost(f"the {chosen} engine cannot run here: {error}") from error
        engine = _make("reference", limit, budget, policy, program, metered, space)
    except (MemoryError, OSError) as error:  # all that it needs is there, but not for this guest
        raise UnsupportedHost(f"the {chosen} engine has no room for another guest: {error}") from error
    if verify and engine.name != "reference":  # which executes the guest's code where it stands
        from reference.dispatch import TranslatingEngine
        from vx32py import verify as verifier

        assert isinstance(engine, TranslatingEngine)
        engine.verify_with(verifier)
    return engine


def check(name: str) -> None:
    """Raise ValueError unless ``name`` is auto, or the name of an engine."""
    if name != "auto" and name not in NAMES:
        raise ValueError(f"engine must be one of auto, {', '.join(NAMES)}, not {name!r}")


def resolve(name: str) -> str:
    """The engine that ``name`` stands for: "auto" is the jit where it can run, else the reference."""
    check(name)
    if name == "auto":
        return "jit" if unavailable("jit") is None else "reference"
    return name


def engines() -> list[str]:
    """The engines that this host can run, fastest first."""
    return [name for name in NAMES if unavailable(name) is None]


@cache
def unavailable(name: str) -> str | None:
    """Why an engine cannot run here, or None if it can: found out by making one. (:func:`create` makes one at once.)"""
    try:
        if name == "jit":
            from jit.engine import available

            return available()
        if name == "translated":
            import reference.model
        else:
            import reference.engines  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


def _make(
    name: str, limit: int, budget: int, policy: Policy, program: object, metered: bool, space: Any = None,
    *, prefer_zero: bool = True, small: bool = False,
) -> Engine:  # fmt: skip
    if name == "jit":
        from jit.engine import JitEngine

        return JitEngine(
            limit=limit,
            budget=budget,
            policy=policy,
            program=program,
            metered=metered,
            space=space,
            prefer_zero=prefer_zero,
            small=small,
        )
    if space is None:
        from reference.memory import AddressSpace

        space = AddressSpace(limit, budget=budget)
    if name == "translated":
        from reference.model import CODE_BASE, TranslatedEngine

        if limit > CODE_BASE:
            raise MemoryError(f"no room for a guest of {limit:#x} bytes, at most {CODE_BASE:#x} are possible")
        return TranslatedEngine(space, policy=policy, metered=metered)
    from reference.engines import ReferenceEngine

    return ReferenceEngine(space, policy=policy)
