"""Settings that are declared once: their flag, type, range, help, default.

A class of settings is a frozen dataclass whose fields are made by `setting`.
On the command line each is a flag, `--num-particles 4`, and a pair,
`num_particles=4`.
"""

import argparse
import dataclasses
import difflib

from recipes.errors import RecipeError

_NONE = ("none", "null", "")
_BOOLEANS = {
    "true": True,
    "yes": True,
    "1": True,
    "false": False,
    "no": False,
    "0": False,
}
WORLD = "Other"


def boolean(text):
    """`True` or `False` from a word."""
    if text.lower() not in _BOOLEANS:
        raise ValueError(f"true or false, and not {text!r}")
    return _BOOLEANS[text.lower()]


def integers(text):
    """A tuple of integers from `"32,32"`."""
    return tuple(int(part) for part in text.split(",") if part)


def names(text):
    """A tuple of names from `"elbo,fivo"`."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


_KINDS = {
    int: "an integer",
    float: "a number",
    str: "a text",
    boolean: "true or false",
    integers: "integers, as 32,32",
    names: "names, as a,b",
}


def setting(
    default,
    help,
    group=WORLD,
    type=None,
    choices=None,
    low=None,
    above=None,
    high=None,
    by_data=None,
    metavar=None,
    identity=True,
):
    """A field of a class of settings.

    Args:
        default: The value where none is given; `None` means: not set.
        help: str. One sentence.
        group: str. The heading it stands under in the help.
        type: From text to a value. Default: the type of `default`.
        choices: The values there are. Default: any.
        low: The least value. Default: `None`.
        above: What the value must exceed. Default: `None`.
        high: The largest value. Default: `None`.
        by_data: Dict from data set to another default.
        metavar: str. What stands for the value in the help.
        identity: bool. Whether another value makes another run.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "group": group,
            "type": type
            or (
                boolean
                if default in (True, False) and isinstance(default, bool)
                else default.__class__
            ),
            "choices": choices,
            "low": low,
            "above": above,
            "high": high,
            "by_data": by_data or {},
            "metavar": metavar,
            "identity": identity,
        },
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all classes of settings do.

    Raises:
        RecipeError: A value is out of its range.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))

    @classmethod
    def from_given(cls, given, data=None):
        """Settings from the values that were given.

        Args:
            given: Dict from name to value.
            data: str. The data set whose defaults hold. Default: that in
                `given`.
        """
        data = data or given.get("data")
        defaults = {
            field.name: field.metadata["by_data"][data]
            for field in dataclasses.fields(cls)
            if data in field.metadata["by_data"]
        }
        check_names(cls, given)
        return cls(**{**defaults, **given})

    def as_dict(self):
        """Plain values, as JSON knows them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def identity(self):
        """The values that make this run another one than the next."""
        plain = self.as_dict()
        return {
            field.name: plain[field.name]
            for field in dataclasses.fields(self)
            if field.metadata["identity"]
        }


def check_names(cls, given):
    """Refuses names that no setting has."""
    known = [field.name for field in dataclasses.fields(cls)]
    for name in given:
        if name not in known:
            raise RecipeError(unknown_message(name, known))


def unknown_message(name, known):
    """The error of an unknown setting, with the closest known one."""
    close = difflib.get_close_matches(name.replace("-", "_"), known, 1, 0.5)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    return (
        f"There is no setting `{name}` here.{hint} "
        f"Known: {', '.join(sorted(known))}."
    )


def _check(field, value):
    meta = field.metadata
    if value is None:
        if field.default is not None:
            raise RecipeError(
                f"`{field.name}` needs a value. Received: {field.name}=None."
            )
        return
    received = f"Received: {field.name}={value!r}."
    if meta["choices"] and value not in meta["choices"]:
        close = difflib.get_close_matches(str(value), meta["choices"], 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise RecipeError(
            f"`{field.name}` is one of {', '.join(meta['choices'])}. "
            f"{received}{hint}"
        )
    if meta["type"] is float and value != value:
        raise RecipeError(f"`{field.name}` must be a number. {received}")
    if meta["low"] is not None and value < meta["low"]:
        raise RecipeError(
            f"`{field.name}` must be at least {meta['low']}. {received}"
        )
    if meta["above"] is not None and value <= meta["above"]:
        raise RecipeError(
            f"`{field.name}` must be above {meta['above']}. {received}"
        )
    if meta["high"] is not None and value > meta["high"]:
        raise RecipeError(
            f"`{field.name}` must be at most {meta['high']}. {received}"
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise RecipeError(f"{message}. See `{self.prog} --help`.")


def parser_of(cls, prog, description, positional=None, epilog=None):
    """An argument parser of a class of settings.

    Args:
        cls: A subclass of `Settings`.
        prog: str. The command, for the help.
        description: str.
        positional: str. The setting that may be given without its name.
        epilog: str. What comes after the settings.
    """
    parser = _Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        usage=f"{prog} {f'[{positional.upper()}] ' if positional else ''}"
        "[name=value | --name value]...",
    )
    groups = {}
    for field in dataclasses.fields(cls):
        meta = field.metadata
        group = meta["group"]
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        flag = "--" + field.name.replace("_", "-")
        groups[group].add_argument(
            flag,
            dest=field.name,
            type=_reader(field),
            metavar=_metavar(field),
            help=f"{meta['help']} {_default_text(field)}".strip(),
        )
    return parser


def parse(cls, argv, parser, positional=None):
    """The values that a command line gives.

    Args:
        cls: A subclass of `Settings`.
        argv: List of str.
        parser: As from `parser_of`.
        positional: str. The setting that may be given without its name.

    Returns:
        A dict from name to value, of what was given only.

    Raises:
        RecipeError: A name is unknown, or a value not of its type.
    """
    known = [field.name for field in dataclasses.fields(cls)]
    flags, after_flag = [], False
    for token in argv:
        name, equals, value = token.partition("=")
        if token in ("-h", "--help"):
            flags.append(token)
        elif token.startswith("--") and len(token) > 2:
            name = name[2:].replace("-", "_")
            _check_known(name, known)
            flags.append(f"--{name.replace('_', '-')}{equals}{value}")
            after_flag = not equals
            continue
        elif after_flag:
            flags.append(token)
        elif equals and name.replace("-", "_").isidentifier():
            name = name.replace("-", "_")
            _check_known(name, known)
            flags.append(f"--{name.replace('_', '-')}={value}")
        elif positional and not token.startswith("-"):
            flags.append(f"--{positional.replace('_', '-')}={token}")
            positional = None
        else:
            raise RecipeError(
                "Settings are given as name=value or --name value. "
                f"Received: {token!r}. See `{parser.prog} --help`."
            )
        after_flag = False
    return vars(parser.parse_args(flags))


def _check_known(name, known):
    if name not in known:
        raise RecipeError(unknown_message(name, known))


def _reader(field):
    convert = field.metadata["type"]

    def read(text):
        if field.default is None and text.lower() in _NONE:
            return None
        try:
            if convert is int:
                value = float(text)  # 1e5 is an integer too
                if value != int(value):
                    raise ValueError
                return int(value)
            return convert(text)
        except (ValueError, OverflowError):
            raise argparse.ArgumentTypeError(
                f"must be {_KINDS.get(convert, 'a value')}; "
                f"received: {field.name}={text!r}"
            ) from None

    return read


def _metavar(field):
    meta = field.metadata
    if meta["metavar"]:
        return meta["metavar"]
    if meta["choices"]:
        return "{" + ",".join(meta["choices"]) + "}"
    kinds = {int: "N", float: "X", boolean: "{true,false}"}
    return kinds.get(meta["type"], field.name.upper())


def _default_text(field):
    meta = field.metadata
    if field.default == "":
        return ""
    default = _plain(field.default)
    by_value = {}
    for data, value in meta["by_data"].items():
        by_value.setdefault(_plain(value), []).append(data)
    others = "".join(
        f"; {', '.join(data)}: {value}" for value, data in by_value.items()
    )
    return f"[{default}{others}]"


def _plain(value):
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
