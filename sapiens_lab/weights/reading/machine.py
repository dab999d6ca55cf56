"""A machine for pickles that imports nothing, calls nothing and cannot be made to grow.

Python's own unpickler trusts lengths, imports what it is told and sets attributes of any object.
This one knows the opcodes of protocols 2 to 5 that hold data (names and numbers as in the standard
library's ``pickletools``). Every opcode costs one of a limited number of steps; keys are checked
before they are hashed; what is called is one of the builders that the caller gives, or a stub.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch

from sapiens_lab.weights.reading.source import DamagedError, RefusedError
from sapiens_lab.weights.reading.stubs import Global, ScriptObject, Stub

MAX_STEPS = 1_000_000  # an optimizer's state of 1000 tensors takes 100,000
_MAX_NAME = 1000
_MAX_INTEGER = 64  # bytes
_MAX_TUPLE_KEYS = 1000  # hashes of tuples can be made to collide

Builder = Callable[["Machine", tuple[Any, ...]], Any]
_MARK = object()
_STOP = ord(".")


class Machine:
    """Runs pickles of one file.

    Args:
        content: bytes.
        builders: what is done in place of the functions and classes that a pickle names.
        load_storage: gets a persistent id; tensors' bytes are named by them.
        constant: returns what a name alone stands for (a dtype), or nothing.
        keeps_scripts: objects of TorchScript classes keep their attributes.
        start: where the first pickle begins in ``content``.
    """

    def __init__(
        self,
        content: memoryview,
        *,
        builders: Mapping[tuple[str, str], Builder],
        load_storage: Callable[[Any], Any],
        constant: Callable[[str, str], Any],
        keeps_scripts: bool = False,
        start: int = 0,
    ) -> None:
        self._content, self._position = content, start
        self._builders, self._load_storage, self._constant = builders, load_storage, constant
        self._keeps_scripts = keeps_scripts
        self._steps, self._tuple_keys = MAX_STEPS, _MAX_TUPLE_KEYS
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    @property
    def position(self) -> int:
        """Return where the next pickle begins."""
        return self._position

    def load(self) -> Any:
        """Run one pickle and return its object.

        Raises:
            DamagedError: it is cut off or no pickle.
            RefusedError: it needs more steps than any file of weights, or an opcode that has no
                place in one.
        """
        self._stack, self._memo = [], {}
        while (code := self._take(1)[0]) != _STOP:
            self.charge(1)
            step = _STEPS.get(code)
            if step is None:
                raise DamagedError(f"its pickle has the unknown opcode {code:#x}")
            step(self)
        return self._pop()

    def charge(self, steps: int) -> None:
        """Count work, so that a small file cannot ask for much.

        Raises:
            RefusedError: there are no steps left.
        """
        self._steps -= steps
        if self._steps < 0:
            raise RefusedError(f"its pickle takes more than {MAX_STEPS} steps")

    def check_key(self, key: Any) -> Any:
        """Return a key of a dict or set, if hashing and comparing it is cheap and inert.

        Raises:
            RefusedError: it is not.
        """
        if isinstance(key, tuple):
            self._tuple_keys -= 1
            cheap = self._tuple_keys >= 0 and len(key) <= 8 and all(map(_is_scalar, key))
        else:
            cheap = _is_scalar(key) or isinstance(key, (Stub, Global, torch.dtype))
        if not cheap:
            raise RefusedError(f"its pickle has a {type(key).__name__} as a key")
        return key

    def add_items(self, target: Any, items: list[Any]) -> None:
        """Set keys and values that alternate; a stub forgets them."""
        if isinstance(target, Stub):
            return
        if not isinstance(target, dict):
            raise DamagedError(f"its pickle sets keys of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.check_key(key)] = value

    def _take(self, size: int) -> memoryview:
        end = self._position + size
        if end > len(self._content):
            raise DamagedError("its pickle ends too early")
        taken = self._content[self._position : end]
        self._position = end
        return taken

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        window = bytes(self._content[self._position : self._position + _MAX_NAME])
        line, end, _ = window.partition(b"\n")
        if not end:
            raise DamagedError("its pickle has a name without end")
        self._position += len(line) + 1
        return line.decode("utf-8")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise DamagedError("its pickle takes what it has not put")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while (value := self._stack.pop() if self._stack else None) is not _MARK:
            if not self._stack:
                raise DamagedError("its pickle lacks a mark")
            items.append(value)
        return items[::-1]

    def _top(self) -> Any:
        value = self._pop()
        self._stack.append(value)
        return value

    def _named(self, module: Any, name: Any) -> Any:
        if not (isinstance(module, str) and isinstance(name, str)) or len(name) > _MAX_NAME:
            raise DamagedError("its pickle names no class")
        constant = self._constant(module, name)
        return Global(module[:_MAX_NAME], name) if constant is None else constant

    def call(self, function: Any, arguments: Any) -> Any:
        """Return what a builder makes of the arguments, or a stub.

        Raises:
            RefusedError: the function is no name.
        """
        if isinstance(function, Stub):
            return Stub(function.name)
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise RefusedError(f"its pickle calls a {type(function).__name__}")
        if builder := self._builders.get((function.module, function.name)):
            return builder(self, arguments)
        if self._keeps_scripts and function.module.split(".")[0] == "__torch__":
            return ScriptObject()
        return Stub(str(function))

    def _build(self) -> None:
        """Give an object its state: attributes of a script's module, nothing else."""
        state, target = self._pop(), self._top()
        if isinstance(target, ScriptObject):
            target.attributes = state if isinstance(state, dict) else {}
        elif isinstance(target, OrderedDict) and isinstance(state, dict):
            self._set_versions(target, state.get("_metadata"))
        elif not isinstance(target, (Stub, torch.Tensor)):
            raise RefusedError(f"its pickle sets the state of a {type(target).__name__}")

    def _set_versions(self, target: OrderedDict[Any, Any], versions: Any) -> None:
        """Give a state dict the versions of its modules, by which torch updates old files."""
        if not isinstance(versions, dict):
            return
        self.charge(len(versions))
        flat = {key: dict(value) for key, value in versions.items() if isinstance(value, dict)}
        self.charge(sum(map(len, flat.values())))
        if all(_is_scalar(entry) for value in flat.values() for entry in value.values()):
            target._metadata = flat  # type: ignore[attr-defined]  # torch's own attribute

    def _append(self, items: list[Any]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Stub):
            raise DamagedError(f"its pickle appends to a {type(target).__name__}")

    def _add_to_set(self) -> None:
        items, target = self._pop_to_mark(), self._top()
        if not isinstance(target, set):
            raise DamagedError(f"its pickle adds to a {type(target).__name__}")
        target.update(self.check_key(item) for item in items)

    def _set_items(self) -> None:
        items = self._pop_to_mark()
        if len(items) % 2:
            raise DamagedError("its pickle has a key without a value")
        self.add_items(self._top(), items)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self.add_items(self._top(), [key, value])

    def _integer(self, size: int) -> None:
        if not 0 <= size <= _MAX_INTEGER:
            raise RefusedError(f"its pickle has an integer of {size} bytes")
        self._push(int.from_bytes(self._take(size), "little", signed=True))

    def _remember(self, index: int) -> None:
        self._memo[index] = self._top()

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            raise DamagedError("its pickle repeats what it has not said")
        self._push(self._memo[index])

    def _text(self, form: str) -> None:
        self._push(str(self._take(self._number(form)), "utf-8", "surrogatepass"))

    def _old_text(self, form: str) -> None:
        """Push a string of Python 2, which has no encoding."""
        self._push(str(self._take(self._number(form)), "latin-1"))

    def _tuple(self, size: int) -> None:
        items = [self._pop() for _ in range(size)]
        self._push(tuple(reversed(items)))

    def _reduce(self, extra: int = 0) -> None:
        """Call with positional arguments; ``extra`` keyword ones are for stubs only."""
        keywords = self._pop() if extra else None
        arguments, function = self._pop(), self._pop()
        if keywords:
            arguments = ()
        self._push(self.call(function, arguments))

    def _named_by_stack(self) -> None:
        name, module = self._pop(), self._pop()
        self._push(self._named(module, name))

    def _empty_set(self) -> None:
        self.charge(3)  # as large as four empty lists
        self._push(set())

    def _frozen(self) -> None:
        self._push(frozenset([self.check_key(item) for item in self._pop_to_mark()]))

    def _frame(self) -> None:
        if self._number("<Q") > len(self._content) - self._position:
            raise DamagedError("its pickle ends too early")

    def _protocol(self) -> None:
        if not 2 <= self._number("<B") <= 5:
            raise RefusedError("its pickle is of another protocol than 2 to 5")


def _is_scalar(key: Any) -> bool:
    if isinstance(key, int):
        return -(1 << 63) <= key < 1 << 64  # hashes of longer ones can be made to collide
    return key is None or isinstance(key, (str, bytes, float))


Step = Callable[[Machine], object]
_OPCODES: dict[bytes, Step] = {
    b"\x80": Machine._protocol, b"\x95": Machine._frame,
    b"(": lambda m: m._push(_MARK), b"0": lambda m: m._pop(), b"1": lambda m: m._pop_to_mark(),
    b"2": lambda m: m._push(m._top()),
    b"N": lambda m: m._push(None), b"\x88": lambda m: m._push(True),
    b"\x89": lambda m: m._push(False),
    b"J": lambda m: m._push(m._number("<i")), b"K": lambda m: m._push(m._number("<B")),
    b"M": lambda m: m._push(m._number("<H")), b"G": lambda m: m._push(m._number(">d")),
    b"\x8a": lambda m: m._integer(m._number("<B")), b"\x8b": lambda m: m._integer(m._number("<i")),
    b"X": lambda m: m._text("<I"), b"\x8c": lambda m: m._text("<B"),
    b"\x8d": lambda m: m._text("<Q"),
    b"U": lambda m: m._old_text("<B"), b"T": lambda m: m._old_text("<I"),
    b"B": lambda m: m._push(bytes(m._take(m._number("<I")))),
    b"C": lambda m: m._push(bytes(m._take(m._number("<B")))),
    b"\x8e": lambda m: m._push(bytes(m._take(m._number("<Q")))),
    b"\x96": lambda m: m._push(bytearray(m._take(m._number("<Q")))),
    b")": lambda m: m._push(()), b"]": lambda m: m._push([]), b"}": lambda m: m._push({}),
    b"\x8f": Machine._empty_set,
    b"t": lambda m: m._push(tuple(m._pop_to_mark())), b"\x85": lambda m: m._tuple(1),
    b"\x86": lambda m: m._tuple(2), b"\x87": lambda m: m._tuple(3),
    b"l": lambda m: m._push(m._pop_to_mark()), b"\x91": Machine._frozen,
    b"e": lambda m: m._append(m._pop_to_mark()), b"a": lambda m: m._append([m._pop()]),
    b"u": Machine._set_items, b"s": Machine._set_item, b"\x90": Machine._add_to_set,
    b"q": lambda m: m._remember(m._number("<B")), b"r": lambda m: m._remember(m._number("<I")),
    b"\x94": lambda m: m._remember(len(m._memo)),
    b"h": lambda m: m._recall(m._number("<B")), b"j": lambda m: m._recall(m._number("<I")),
    b"c": lambda m: m._push(m._named(m._line(), m._line())), b"\x93": Machine._named_by_stack,
    b"R": Machine._reduce, b"\x81": Machine._reduce, b"\x92": lambda m: m._reduce(1),
    b"b": Machine._build, b"Q": lambda m: m._push(m._load_storage(m._pop())),
}  # fmt: skip
_STEPS = {ord(code): step for code, step in _OPCODES.items()}
