"""``docs/configuration.md``, made from the model: ``python -m gateway.config.reference``.

A test compares the file with what is made here, so it cannot be out of date.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import attrs
import orjson

from gateway.config.includes import MOST_FILES, MOST_TOGETHER
from gateway.config.model import Config
from gateway.config.setting import Secret
from gateway.config.structure import FORM
from gateway.config.tree import ANY, entry, is_table, without_none

TARGET: Final = Path(__file__).parents[2] / "docs" / "configuration.md"

_HEAD: Final = """\
# Configuration

<!-- Made by `python -m gateway.config.reference`; change the model, not this page. -->

One TOML file: `gateway.toml` in the platform's directory for configuration, or what `--config`
or `GATEWAY_CONFIG` names. The first start writes it (mode 0600), with every setting explained
and a token of its own.

`python -m gateway check` reads it as a start does and shows everything that is wrong at once,
each with its line, what was expected and what was probably meant. A file with a mistake does
not start (exit code 78). Unknown keys are mistakes.

## Secrets

Wherever a *secret* is expected, write one of

| form | the value is |
|---|---|
| `"..."` | the text itself; the file must then be the owner's only (0600) |
| `"${NAME}"` | the environment variable `NAME`; `$${` stands for `${` as it is |
| `{ env = "NAME" }` | the same |
| `{ file = "path" }` | the text in a file, relative to the main one, without its last newline |

A reference is followed when the file is loaded, in memory only. No secret appears in logs,
errors or answers.

At least one credential is needed, on loopback too. With a `bind` that other machines can reach,
every credential needs 128 bits: `openssl rand -hex 32` makes one.

## Several files

`include = ["channels/*.toml"]` at the top of the main file makes all of them one configuration:

* A pattern is relative to the directory of the main file; what leads out of that, by `..` or by a
  symbolic link, is a mistake. `*`, `?` and `[...]` stand for parts of one name, and do not match a
  dot at its beginning. There is no `**`.
* Files are read in the order of the patterns, and by name within each; a pattern with `*` may match
  none. At most %d files with %d KiB together.
* Tables are merged: each file may have a part of `[agents]`, or even of `[agents.main]`. A setting
  that is there twice is a mistake that names both places.
* `include` and `version` belong into the main file only. Paths in secrets are relative to the main
  file in all of them, and each file with a secret in it must be the owner's only.
* While the gateway runs, a change of any of them counts as a change of the configuration.
* Only the main file is edited by `config.set` and `config.patch`, migrated, and kept as a revision.

## From outside

Flags win over the environment, the environment over the file.

| setting | flag | environment |
|---|---|---|
| the file itself | `--config` | `GATEWAY_CONFIG` |
| state directory | `--state` | `GATEWAY_STATE` |
| `gateway.port` | `--port` | `GATEWAY_PORT` |
| `gateway.bind` | `--bind` | |
| `logging.level` | `--log-level` | |
| `auth.tokens.default.token` | | `GATEWAY_TOKEN` |

## Settings

`<name>` is a name of your choice: 1 to 64 letters, digits, `_`, `.` and `-`. A change of a
setting marked ↻ needs a restart; all others can take effect while the gateway runs.
"""


def reference() -> str:
    """Return the page."""
    return _HEAD % (MOST_FILES, MOST_TOGETHER // 1024) + "".join(_tables(Config, ()))


def _tables(model: Any, at: tuple[str, ...]) -> Iterator[str]:
    """Yield the section of *model* and those of the tables in it."""
    fields = attrs.fields(model)
    plain = [each for each in fields if not is_table(_inner(each))]
    if plain:
        name = ".".join("<name>" if part == ANY else part for part in at)
        yield f"\n### {f'`[{name}]`' if at else 'Top of the file'}\n\n"
        yield f"{_first_line(model)}\n\n"
        yield "| setting | type | default | what |\n|---|---|---|---|\n"
        yield from map(_row, plain)
    for field in fields:
        if field not in plain:
            named = entry(field.type) is not None
            yield from _tables(_inner(field), (*at, field.name, *([ANY] if named else [])))


def _inner(field: "attrs.Attribute[Any]") -> Any:
    """Return the class of a table or of each of its entries, or the type of a value."""
    return entry(field.type) or without_none(field.type)


def _row(field: "attrs.Attribute[Any]") -> str:
    mark = " ↻" if field.metadata["reload"] == "restart" else ""
    cells = (f"`{field.name}`{mark}", _type(field), _default(field), field.metadata["doc"])
    return f"| {' | '.join(cells)} |\n"


def _type(field: "attrs.Attribute[Any]") -> str:
    kind = without_none(field.type)
    if get_origin(kind) is tuple:
        return f"list of {_plain(get_args(kind)[0])}"
    return f"{_plain(kind)}{_bounds(field)}"


def _plain(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(kind))
    names = {str: "text", int: "integer", float: "number", bool: "`true`, `false`"}
    return "secret" if kind is Secret else names[kind]


def _bounds(field: "attrs.Attribute[Any]") -> str:
    least, most, unit = (field.metadata[key] for key in ("minimum", "maximum", "unit"))
    if least is None:
        return f", {unit}" if unit else ""
    limits = f"at least {least}" if most is None else f"{least} to {most}"
    return f", {limits}{f' {unit}' if unit else ''}"


def _default(field: "attrs.Attribute[Any]") -> str:
    if field.default is attrs.NOTHING:
        return "required"
    if field.default is None:
        return "none"
    return f"`{orjson.dumps(FORM.unstructure(field.default)).decode()}`"


def _first_line(model: type) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def main() -> None:
    """Write the page."""
    TARGET.write_text(reference())


if __name__ == "__main__":
    main()
