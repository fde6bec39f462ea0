"""The base of all settings: typed, checked where they are made.

A class of settings is a `pydantic` model: its annotations say which values
there are, the text under each field is its help. Values may be text, as a
command line gives it: `"32,32"`, `"1e5"`, `"none"`.
"""

import difflib
import types
import typing
from typing import Annotated, Any, ClassVar, Self

import pydantic
from pydantic import Field

from recipes.errors import RecipeError


class Metavar(str):
    """What stands for a value in the help, as an annotation."""


Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NaturalFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
FilePath = Annotated[str, Metavar("FILE")]
FolderPath = Annotated[str, Metavar("FOLDER")]

_NOT_SET = ("none", "null", "")
_FAULTS = {
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be above {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be below {lt:g}",
    "int": "must be an integer",
    "float": "must be a number",
    "finite": "must be a number",
    "bool": "must be true or false",
    "string_pattern": "must match {pattern}",
    "string": "must be a text",
    "tuple": "must be a list, as a,b",
}


class Settings(pydantic.BaseModel):
    """What a program can be told.

    Attributes:
        heading: What the fields that a class adds stand under in the help.
        incidental: Names of the fields that do not make another run.

    Raises:
        RecipeError: A name is unknown, or a value not one of those there are.
    """

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
    heading: ClassVar[str] = "Settings"
    incidental: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            faults = error.errors(include_url=False)
            raise RecipeError(_explain(faults[0], type(self))) from None

    def changed(self, **values: Any) -> Self:
        """Returns these settings with other values in places."""
        return type(self)(**{**dict(self), **values})

    def as_dict(self) -> dict[str, Any]:
        """Returns the values as JSON knows them."""
        return self.model_dump(mode="json")

    def identity(self) -> dict[str, Any]:
        """Returns the values that tell this run from another."""
        return self.model_dump(mode="json", exclude=set(self.incidental))

    def arguments(self, usual: "Settings") -> list[str]:
        """Returns `name=value` for each value that is not the usual one."""
        theirs = dict(usual)
        return [
            f"{name}={as_text(value)}"
            for name, value in self
            if name in theirs and value != theirs[name]
        ]

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _read(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        """Turns a number, or a command line's text, into what a field takes."""
        kinds = kinds_of(cls.model_fields[str(info.field_name)].annotation)
        if not isinstance(value, str):
            # One number is a list of one, as it is on a command line.
            alone = tuple in kinds and type(value) in (int, float)
            return (value,) if alone else value
        if value.lower() in _NOT_SET and type(None) in kinds:
            return None
        if tuple in kinds:
            return tuple(part.strip() for part in value.split(",") if part)
        if int in kinds or float in kinds:
            try:
                number = float(value)
            except ValueError:
                return value
            # 1e5 is an integer too.
            whole = int in kinds and number.is_integer()
            return int(number) if whole else number
        return value


def kinds_of(annotation: Any) -> list[Any]:
    """Returns the types that a field may have: `int | None` has two."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return kinds_of(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        parts = typing.get_args(annotation)
        return [kind for part in parts for kind in kinds_of(part)]
    return [origin or annotation]


def choices_of(annotation: Any) -> tuple[str, ...]:
    """Returns the values of the `Literal` in an annotation, if it has one."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    for part in typing.get_args(annotation):
        if found := choices_of(part):
            return found
    return ()


def as_text(value: Any) -> str:
    """Returns a value as the command line takes it."""
    if value is None:
        return "none"
    if isinstance(value, (tuple, list)):
        return ",".join(map(as_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def nearest(name: Any, known: typing.Iterable[str], quote: str = "'") -> str:
    """Returns a question after the known name that is meant, or nothing."""
    close = difflib.get_close_matches(str(name), list(known), 1, 0.5)
    return f" Did you mean {quote}{close[0]}{quote}?" if close else ""


def _explain(fault: Any, cls: type[Settings]) -> str:
    """Returns one sentence on a fault that pydantic found."""
    name, *places = fault["loc"]
    known = sorted(cls.model_fields)
    if fault["type"] == "extra_forbidden":
        return (
            f"There is no setting `{name}` here."
            f"{nearest(name, known, '`')} Known: {', '.join(known)}."
        )
    value = fault["input"]
    received = f"Received: {name}{' with ' if places else '='}{value!r}."
    if fault["type"] == "literal_error":
        choices = choices_of(cls.model_fields[name].annotation)
        verb = "may name" if places else "is one of"
        return (
            f"`{name}` {verb} {', '.join(map(str, choices))}. "
            f"{received}{nearest(value, choices)}"
        )
    if fault["type"] == "value_error":
        return f"{fault['ctx']['error']} {received}"
    for start, words in _FAULTS.items():
        if fault["type"].startswith(start):
            words = words.format(**fault.get("ctx", {}))
            return f"`{name}` {words}. {received}"
    return f"`{name}`: {fault['msg']}. {received}"
