"""``dataclass``, ``field`` and ``replace``, as :mod:`dataclasses` has them, for programs that must start quickly.

A process that runs a small guest is alive for some fifty milliseconds. The standard module takes ten of them before its
first class is made, because it imports ``inspect`` and with it a parser and a disassembler of Python; then it compiles
up to eight functions for each class. Here only ``__init__`` is compiled, which must be fast; comparison, hash and text are
the same for all classes. Type checkers see the standard module.

Understood is what this project uses: ``frozen``, ``slots``, ``eq``; defaults, ``default_factory``, ``compare``, ``repr``;
``__post_init__``. No inheritance of fields. The functions of the standard module (``fields``, ``asdict``) take these
classes for their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["dataclass", "field", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:
    from operator import attrgetter

    class _Field:
        """What is to be known of a field beyond a default."""

        def __init__(self, *, default_factory, compare=True, repr=True):  # noqa: A002 - the standard module's names
            self.default_factory = default_factory
            self.compare = compare
            self.repr = repr

    field = _Field

    class _StandardFields:
        """``__dataclass_fields__``, by which the standard module knows its classes: made when it first asks."""

        def __init__(self, annotations, defaults):
            self.annotations = annotations
            self.defaults = defaults

        def __get__(self, instance, owner):
            import dataclasses

            described = []
            for name, annotation in self.annotations.items():
                given = self.defaults.get(name, dataclasses.MISSING)
                if isinstance(given, _Field):
                    made = dataclasses.field(
                        default_factory=given.default_factory, compare=given.compare, repr=given.repr
                    )
                else:
                    made = dataclasses.field(default=given)
                described.append((name, annotation, made))
            fields = dataclasses.make_dataclass(owner.__name__, described).__dataclass_fields__
            owner.__dataclass_fields__ = fields
            return fields

    def dataclass(cls=None, /, *, frozen=False, slots=False, eq=True):
        """Make a class with annotated fields what :func:`dataclasses.dataclass` would make of it."""
        if cls is None:
            return lambda cls: _make(cls, frozen, slots, eq)
        return _make(cls, frozen, slots, eq)

    def replace(instance, /, **changes):
        """A copy with some fields changed."""
        return type(instance)(**{name: getattr(instance, name) for name in instance.__match_args__} | changes)

    def _make(cls, frozen, slots, eq):
        annotations = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - inspect is what takes so long
        names = tuple(annotations)
        members = dict(cls.__dict__)
        defaults = {name: members.pop(name) for name in names if name in members}
        own = members.keys()
        if slots:
            members.pop("__dict__", None)
            members.pop("__weakref__", None)
            members["__slots__"] = names
            name = cls.__qualname__
            cls = type(cls)(cls.__name__, cls.__bases__, members)
            cls.__qualname__ = name
        else:
            for name, value in defaults.items():
                if isinstance(value, _Field):
                    delattr(cls, name)
        _add_init(cls, names, defaults, frozen, slots)
        kept = {name: given for name, given in defaults.items() if isinstance(given, _Field)}
        shown = tuple(name for name in names if name not in kept or kept[name].repr)
        added = {"__repr__": _representation(shown), "__match_args__": names}
        if eq:
            compared = tuple(name for name in names if name not in kept or kept[name].compare)
            added["__eq__"], hashed = _comparison(compared)
            added["__hash__"] = hashed if frozen else None
        if frozen:
            added |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
        added["__reduce__"] = lambda self: (type(self), tuple(getattr(self, name) for name in names))
        for name, value in added.items():
            if name not in own or (name == "__hash__" and members[name] is None):
                setattr(cls, name, value)
        cls.__dataclass_fields__ = _StandardFields(annotations, defaults)
        return cls

    def _add_init(cls, names, defaults, frozen, slots):
        """Compile ``__init__``: it fills slots through their descriptors, which nothing can be quicker than."""
        scope = {"_defaults": defaults, "_Missing": _Missing, "_set": object.__setattr__}
        parameters, body = [], []
        for name in names:
            given = defaults.get(name, _Missing)
            value = name
            if isinstance(given, _Field):
                scope[f"_make_{name}"] = given.default_factory
                value = f"_make_{name}() if {name} is _Missing else {name}"
                parameters.append(f"{name}=_Missing")
            else:
                parameters.append(name if given is _Missing else f"{name}=_defaults[{name!r}]")
            if slots:
                scope[f"_set_{name}"] = getattr(cls, name).__set__
                body.append(f" _set_{name}(self, {value})")
            else:
                body.append(f" _set(self, {name!r}, {value})" if frozen else f" self.{name} = {value}")
        if hasattr(cls, "__post_init__"):
            body.append(" self.__post_init__()")
        exec(f"def __init__(self, {', '.join(parameters)}):\n" + "\n".join(body or [" pass"]), scope)  # noqa: S102
        init = cls.__init__ = scope["__init__"]
        init.__qualname__ = f"{cls.__qualname__}.__init__"
        init.__module__ = cls.__module__

    class _Missing:
        """No default; no value."""

    def _representation(names):
        def __repr__(self):  # noqa: N807
            return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

        return __repr__

    def _comparison(names):
        values = attrgetter(*names) if names else _nothing

        def __eq__(self, other):  # noqa: N807
            return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

        def __hash__(self):  # noqa: N807
            return hash(values(self))

        return __eq__, __hash__

    def _nothing(instance):
        """What a class without fields is compared by."""
        return ()

    def _refuse_to_set(self, name, value):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_to_delete(self, name):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")
