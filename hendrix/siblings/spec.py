"""``NAME:key=value:...``, and what a function makes of it: keys, types, defaults and help are those of its own signature and docstring."""

from __future__ import annotations

import difflib
import inspect
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin

from hendrix.errors import ConfigurationError

YES, NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


@dataclass(frozen=True)
class Spec:
    """What the user wrote.

    :ivar text: all of it.
    :ivar label: its name in the tree: ``name=``, which all siblings have, or what it is.
    """

    text: str
    kind: str
    label: str
    values: Mapping[str, str]
    option: str = "--sibling"

    @property
    def blame(self) -> str:
        return f"{self.option}={self.text}"

    @classmethod
    def of_onion(cls, text: str) -> Spec:
        """``--listen=onion:80:key=value:...`` is the sibling tor in the place of an endpoint. Raises ConfigurationError."""
        tor = re.sub(r"^onion(:[^:=]*(?=:|$))?", lambda found: f"tor{':port=' if found[1] else ''}{(found[1] or '')[1:]}", text)
        try:
            spec = cls.parse(tor)
        except ConfigurationError as error:
            raise ConfigurationError(str(error).replace(f"--sibling={tor}", f"--listen={text}", 1)) from None
        return replace(spec, text=text, label="onion", option="--listen")

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Raises ConfigurationError. A backslash before ``:``, ``=`` or itself is as in Twisted's endpoint strings."""
        kind, *parts = re.findall(r"(?:^|:)((?:\\.|[^\\:])*)", text)
        values = {}
        for part in parts:
            found = re.fullmatch(r"((?:\\.|[^\\=])*)=(.*)", part, re.DOTALL)
            if found is None:
                raise ConfigurationError(f"--sibling={text}: {part!r} is no key=value; a colon in a value is written \\:")
            key = _plain(found[1])
            if key in values:
                raise ConfigurationError(f"--sibling={text}: {key} is given twice")
            values[key] = _plain(found[2])
        kind = _plain(kind)
        label = values.pop("name", kind)
        if not re.fullmatch(r"[\w.-]+", label):
            raise ConfigurationError(f"--sibling={text}: write it as NAME:key=value:..., with a name of letters, digits and _-.")
        return cls(text, kind, label, values)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


@dataclass(frozen=True)
class Key:
    """A parameter of a sibling's function."""

    name: str
    type: Any
    default: Any  # inspect.Parameter.empty if it must be given
    help: str

    @property
    def shown(self) -> str:
        """As ``hx siblings`` shows it: ``port=6697``, ``nick=TEXT``."""
        return f"{self.name}={_placeholder(self.type)}" if self.default is inspect.Parameter.empty else f"{self.name}={_text(self.default)}"

    def read(self, text: str) -> Any:
        """The value. Raises ValueError that says what to give."""
        return _read(text, self.type)


def keys_of(function: Callable[..., Any]) -> list[Key]:
    """What may be given to it, without the context."""
    helps = dict(re.findall(r"^:param (\w+):\s*(.*(?:\n[ \t]+.*)*)", inspect.getdoc(function) or "", re.MULTILINE))
    parameters = list(inspect.signature(function).parameters.values())[1:]
    named = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    return [Key(one.name, _type(one, function), one.default, " ".join(helps.get(one.name, "").split())) for one in named]


def read(spec: Spec, function: Callable[..., Any]) -> dict[str, Any]:
    """The keywords to call it with.

    :raises ConfigurationError: one line that names the sibling, the key and the keys it knows.
    """
    keys = {key.name: key for key in keys_of(function)}
    knows = f"{spec.kind} knows {', '.join(keys) or 'no keys'}"
    for name in spec.values:
        if name not in keys:
            near = difflib.get_close_matches(name, keys, 1)
            raise ConfigurationError(f"{spec.blame}: there is no key {name}{f'; did you mean {near[0]}?' if near else ''}; {knows}")
    for key in keys.values():
        if key.default is inspect.Parameter.empty and key.name not in spec.values:
            raise ConfigurationError(f"{spec.blame}: {key.name} is missing; {knows}")
    values = {}
    for name, text in spec.values.items():
        try:
            values[name] = keys[name].read(text)
        except ValueError as error:
            raise ConfigurationError(f"{spec.blame}: {name}={text}: {error}; {knows}") from None
    return values


def _type(parameter: inspect.Parameter, function: Callable[..., Any]) -> Any:
    """Its annotation, also where that is text; or the type of its default."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, getattr(function, "__globals__", {}))
        except NameError:  # imported for type checkers only
            annotation = str
    if annotation is not inspect.Parameter.empty:
        return annotation
    return str if parameter.default in (None, inspect.Parameter.empty) else type(parameter.default)


def _read(text: str, kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _read(text, next(one for one in arguments if one is not type(None)))
    if origin is Literal:
        if text not in arguments:
            raise ValueError(f"give {' or '.join(map(str, arguments))}")
        return text
    if (origin or kind) in (tuple, list):
        of = arguments[0] if arguments else str
        return (origin or kind)(_read(one.strip(), of) for one in text.split(",") if one.strip())
    if kind is bool:
        if text.lower() not in YES + NO:
            raise ValueError("give yes or no")
        return text.lower() in YES
    try:
        return int(text, 0) if kind is int else float(text) if kind is float else text
    except ValueError:
        raise ValueError(f"give {_placeholder(kind).lower()}") from None


def _placeholder(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _placeholder(arguments[0])
    if origin is Literal:
        return "|".join(map(str, arguments))
    if (origin or kind) in (tuple, list):
        return f"{_placeholder(arguments[0] if arguments else str)},..."
    return {int: "A WHOLE NUMBER", float: "A NUMBER", bool: "yes|no"}.get(kind, "TEXT")


def _text(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "" if default is None else ",".join(map(str, default)) if isinstance(default, (tuple, list)) else str(default)
