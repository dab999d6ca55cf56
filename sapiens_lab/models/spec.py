"""How a model says what it is: the import path and the arguments of each of its parts.

A spec is a dictionary of plain values in the format of a Hydra config, e.g.
``{"_target_": "sapiens_lab.models.heads.DeconvHead", "out_channels": 17, ...}``. Checkpoints and
exports carry one, so a file is rebuilt from what it says and never from a guess. A class that
inherits ``Described`` needs no code of its own: its constructor's arguments are recorded.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar, Protocol, runtime_checkable

Spec = dict[str, Any]

TARGET, PARTIAL = "_target_", "_partial_"
_OWN = "sapiens_lab.models."
_LARGEST = 2**17  # of an integer in a file's spec; no width or size of an image comes near


@runtime_checkable
class HasSpec(Protocol):
    """Anything that can say how it was built."""

    def spec(self) -> Spec:
        """Return the import path and the arguments, as plain values."""


class Described:
    """Record the arguments of the constructor, defaults included.

    ``training_only`` names arguments that change how a model trains but not what it computes, such
    as a download or activation checkpointing. They are no part of the spec.
    """

    training_only: ClassVar[frozenset[str]] = frozenset()
    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Take note of the arguments; the constructor then runs as usual."""
        instance = super().__new__(cls)
        # Copying and unpickling call this without arguments and restore the attributes afterwards.
        bound = inspect.signature(cls.__init__).bind_partial(instance, *args, **kwargs)
        bound.apply_defaults()
        _, *named = bound.arguments.items()
        recorded = {name: _plain(v) for name, v in named if name not in cls.training_only}
        object.__setattr__(instance, "_arguments", recorded)  # nn.Module is not initialized yet
        return instance

    def spec(self) -> Spec:
        """Return the import path and the arguments, as plain values.

        Raises:
            ValueError: an argument cannot be written down, e.g. a lambda; names it.
        """
        spec = {TARGET: import_path(type(self)), **self.arguments()}
        if faults := list(_faults(spec)):
            raise ValueError(
                f"{type(self).__name__} cannot be written to a file: {'; '.join(faults)}. Pass "
                "plain values, functools.partial of an importable class, or objects with a "
                "method `spec()` (see docs/adding.md)"
            )
        return spec

    def arguments(self) -> Spec:
        """Return the arguments alone; a class may override what its constructor was given."""
        return dict(self._arguments)


class _Unknown:
    """Stands for an argument that cannot be written down; its spec is asked for much later."""

    def __init__(self, fault: str) -> None:
        self.fault = fault


def build(spec: Mapping[str, Any], *, trust_import_paths: bool = False) -> Any:
    """Return the object that a spec describes.

    Args:
        spec: of ``Described.spec`` or of a file.
        trust_import_paths: also import classes from outside ``sapiens_lab.models``, which runs the
            code of their modules.

    Raises:
        ValueError: the spec names a class from elsewhere, none that exists, arguments that it does
            not have, or impossible values; names them.
    """
    return _build(spec, trust_import_paths, "model")


def _build(value: Any, trust: bool, where: str) -> Any:
    if isinstance(value, Mapping) and TARGET in value:
        target = _resolve(value[TARGET], trust, where)
        rest = {k: v for k, v in value.items() if k not in (TARGET, PARTIAL)}
        arguments = {name: _build(v, trust, f"{where}.{name}") for name, v in rest.items()}
        _check_names(target, arguments, where)
        if value.get(PARTIAL):
            return functools.partial(target, **arguments)
        try:
            return target(**arguments)
        except (TypeError, AttributeError, RuntimeError) as error:  # values of the wrong kind
            raise ValueError(f"{where}: {value[TARGET]} cannot be built: {error}") from error
    if isinstance(value, Mapping):
        return {str(k): _build(v, trust, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_build(v, trust, where) for v in value]
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"{where}={value}: no model is that large")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{where} is a {type(value).__name__}, not a plain value")


def _resolve(path: Any, trust: bool, where: str) -> Callable[..., Any]:
    module, _, name = str(path).rpartition(".")
    if not str(path).startswith(_OWN) and not trust:
        raise ValueError(
            f"{where} is of class {path}, which is not part of this package. Importing it runs its "
            "module's code: if you trust the file, say so with trust_import_paths=True "
            "(--trust-import-paths on the command line)"
        )
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{where}: there is no class {path} ({error}). Is its module on the Python path?"
        ) from error
    # Of our own modules only what models are made of: a file may not call other functions.
    if not (isinstance(found, type) and (trust or issubclass(found, Described))):
        raise ValueError(f"{where}: {path} is no part of a model")
    return found


def _check_names(target: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> None:
    parameters = inspect.signature(target).parameters
    training_only: frozenset[str] = getattr(target, "training_only", frozenset())
    unknown = [name for name in arguments if name not in parameters or name in training_only]
    if unknown:
        raise ValueError(
            f"{where}: {getattr(target, '__name__', target)} has no argument {', '.join(unknown)}"
        )


def _plain(value: Any) -> Any:
    """Turn an argument into plain values; what cannot be is marked and complained of later."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, HasSpec) and not isinstance(value, type):
        try:
            return value.spec()
        except ValueError as error:
            return _Unknown(str(error))
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [_plain(v) for v in value]
    if isinstance(value, functools.partial) and not value.args:
        arguments = {name: _plain(v) for name, v in value.keywords.items()}
        return {TARGET: import_path(value.func), PARTIAL: True, **arguments}
    if isinstance(value, type):
        return {TARGET: import_path(value), PARTIAL: True}
    return _Unknown(f"{value!r:.80} is not a plain value")


def import_path(target: Any) -> Any:
    """Return the path under which a class can be imported, e.g. ``sapiens_lab.models.vit.ViT``."""
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", "?")
    if module is None or "<" in name or "." in name:
        return _Unknown(f"{name} is not at the top level of a module")
    if module == "__main__":
        return _Unknown(f"{name} is defined in the script that runs; move it to a module")
    return f"{module}.{name}"


def _faults(value: Any) -> list[str]:
    if isinstance(value, _Unknown):
        return [value.fault]
    children = value.values() if isinstance(value, Mapping) else value
    if isinstance(children, str) or not hasattr(children, "__iter__"):
        return []
    return [fault for child in children for fault in _faults(child)]
