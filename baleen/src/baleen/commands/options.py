"""Command line options made from the settings, so that each setting is declared once."""

import dataclasses
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from baleen.config import Config

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Bytes(click.ParamType[int]):
    """A number of bytes; accepts 8G, 512M, ..."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        text = str(value).upper().removesuffix("B").removesuffix("I")
        unit = text[-1:] if text[-1:] in _UNITS else ""
        try:
            n_bytes = int(float(text.removesuffix(unit)) * _UNITS[unit])
        except (ValueError, OverflowError):  # no number; infinity
            n_bytes = -1
        if not 0 <= n_bytes < 1 << 63:
            self.fail(f"{value!r} is not a number of bytes; write 8G, 512M or 1000000", param, ctx)
        return n_bytes


class CommaList(click.ParamType[tuple[str, ...]]):
    """Words separated by commas."""

    name = "list"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the words."""
        if isinstance(value, (tuple, list)):
            return tuple(value)
        return tuple(word.strip() for word in str(value).split(",") if word.strip())


class Shard(click.ParamType[tuple[int, int]]):
    """A share of the work: 3/16 is the third of sixteen."""

    name = "shard"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return number and count."""
        if isinstance(value, tuple):
            return value
        first, _, last = str(value).partition("/")
        if first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last):
            return int(first), int(last)
        message = f"{value!r} is not a share; write 1/16 ... 16/16"
        raise click.BadParameter(message, ctx, param)


class NumberList(click.ParamType[tuple[float, ...]]):
    """Numbers separated by commas."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers."""
        if isinstance(value, (tuple, list)):
            return tuple(float(number) for number in value)
        try:
            return tuple(float(number) for number in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers; write .1,.5,1", param, ctx)


_SPECIAL_TYPES: dict[str, click.ParamType[Any]] = {
    "gpu_memory_limit": Bytes(),
    "channels": CommaList(),
    "stoichiometry": NumberList(),
}
_GIVEN_OTHERWISE = {"device"}  # --cuda and --no-cuda


def chosen_settings(*names: str) -> Callable[[F], F]:
    """Add the options of these fields of ``Config`` alone, and ``--config FILE``."""
    items = {
        item.name: item
        for section in dataclasses.fields(Config)
        for item in dataclasses.fields(section.default_factory)  # type: ignore[arg-type]  # a class
    }

    def decorate(function: F) -> F:
        for name in reversed(names):
            function = _option(items[name])(function)
        return _config_option(function)

    return decorate


def settings_options(*sections: str) -> Callable[[F], F]:
    """Add one option per field of these sections of ``Config``, and ``--config FILE``."""

    def decorate(function: F) -> F:
        for section in reversed(dataclasses.fields(Config)):
            if section.name in sections:
                kind: Any = section.default_factory
                function = field_options(kind)(function)
        return _config_option(function)

    return decorate


def without_options(*names: str) -> Callable[[F], F]:
    """Take back options that a section brings and a command has no use for."""

    def decorate(function: F) -> F:
        kept = [option for option in function.__click_params__ if option.name not in names]  # type: ignore[attr-defined]  # set by click
        function.__click_params__ = kept  # type: ignore[attr-defined]  # the same
        return function

    return decorate


def _config_option(function: F) -> F:
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read_config_file,
        help="TOML file of settings; environment BALEEN_* and flags go before it.",
    )(function)


def field_options(kind: type[Any]) -> Callable[[F], F]:
    """Add one option per field of one section of settings."""

    def decorate(function: F) -> F:
        for item in reversed(dataclasses.fields(kind)):
            if item.name not in _GIVEN_OTHERWISE:
                function = _option(item)(function)
        return function

    return decorate


def _option(item: "dataclasses.Field[Any]") -> Callable[[Any], Any]:
    meta = item.metadata
    flag = meta["flag"] or "--" + item.name.replace("_", "-")
    common: dict[str, Any] = {
        "default": item.default,
        "show_default": item.default not in (None, ()),
        "help": meta["help"][0].upper() + meta["help"][1:] + ".",
        "envvar": f"BALEEN_{item.name.upper()}",
    }
    if isinstance(item.default, bool):
        return click.option(flag, item.name, is_flag=True, **common)
    if item.name in _SPECIAL_TYPES:
        if isinstance(item.default, tuple):
            common["default"] = ",".join(str(one) for one in item.default)
        return click.option(flag, item.name, type=_SPECIAL_TYPES[item.name], **common)
    if isinstance(item.default, tuple):
        return click.option(flag, item.name, multiple=True, **common)
    kind = type(item.default) if item.default is not None else (get_args(item.type) or (str,))[0]
    choice = click.Choice(meta["choices"]) if meta["choices"] else kind
    return click.option(flag, item.name, type=choice, **common)


def _read_config_file(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    if value is None:
        return
    try:
        settings = tomllib.loads(value.read_text())
    except tomllib.TOMLDecodeError as error:
        message = f"{value}: not valid TOML: {error}"
        raise click.BadParameter(message, ctx, param) from error
    known = {p.name for p in ctx.command.params}
    unknown = sorted(set(settings) - known)
    if unknown:
        message = f"{value}: no such setting: {', '.join(unknown)}"
        raise click.BadParameter(message, ctx, param)
    ctx.default_map = {**(ctx.default_map or {}), **settings}


def requested_device(cuda: str | None, *, no_cuda: bool) -> str:
    """Turn ``--cuda`` and ``--no-cuda`` into the device setting."""
    if cuda is not None and no_cuda:
        message = "--cuda and --no-cuda exclude each other"
        raise click.UsageError(message)
    if no_cuda:
        return "cpu"
    if cuda is None:
        return "auto"
    if not re.fullmatch(r"\d+(,\d+)*|all", cuda):
        message = f"--cuda: {cuda!r} names no GPUs; write 0, or 0,1, or all (`baleen devices` lists them)"
        raise click.UsageError(message)
    return f"cuda:{cuda}"
