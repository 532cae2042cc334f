"""A configuration in which every table has an entry, whatever tables the model has."""

from typing import Any, Literal, get_args, get_origin

import attrs

from gateway.config.model import Config
from gateway.config.setting import Secret
from gateway.config.tree import entry, is_table, without_none

SAMPLES = {str: "word", int: 1, float: 1.0, bool: True}


def complete(model: type = Config, **given: Any) -> Any:
    """Return a value of *model*; its tables of entries hold one, called ``one``."""
    made = {each.name: _sample(each) for each in attrs.fields(model) if each.name not in given}
    return model(
        **{name: each for name, each in made.items() if each is not attrs.NOTHING}, **given
    )


def _sample(field: Any) -> Any:
    kind = without_none(field.type)
    if entry(kind) is not None:
        return {"one": complete(entry(kind))}
    if is_table(kind):
        return complete(kind)
    if kind is Secret:
        return Secret("secret")
    if field.default is not attrs.NOTHING:
        return attrs.NOTHING
    return get_args(kind)[0] if get_origin(kind) is Literal else SAMPLES[kind]
