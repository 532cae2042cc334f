"""Random TOML texts in which every line knows which setting it is of."""

import tomllib

import attrs
from hypothesis import strategies as st

from gateway.config.render import render, render_name, render_names


@attrs.frozen
class Line:
    """*path* is the setting that the line is of, or the table that a comment stands in."""

    text: str
    path: tuple = ()
    comment: bool = False


@attrs.frozen
class Text:
    lines: list[Line]
    newline: str
    last: str

    @property
    def text(self):
        return ("\n".join(each.text for each in self.lines) + self.last).replace("\n", self.newline)

    @property
    def document(self):
        return tomllib.loads(self.text)


names = st.sampled_from(["a", "b", "c", "port", "two words", "dot.ted", "ü", '"', "#", "]", ""])
scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(["${VAR}", "***", "a\nb", "# no comment", "[x]", '"""', "'''"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=4,
)
literals = st.sampled_from(
    [
        "'lit # eral'",
        '"""\nmany\n# lines\n"""',
        "'''a\n[b]\n'''",
        "[\n  1, # one\n  2,\n]",
        "1979-05-27",
        "0x1F",
        "1_000",
        "inf",
    ]
)


class _Writer:
    """Draws a text table by table; *draw* is Hypothesis'."""

    def __init__(self, draw):
        self.draw = draw
        self.lines = []
        self.count = 0

    def table(self, path, depth):
        used = self.draw(st.lists(names, unique=True, max_size=4))
        sections = []
        for name in used:
            kind = self.draw(st.sampled_from(["pair", "pair", "dotted", "section", "tables"]))
            if kind in ("pair", "dotted") or depth == 0:
                self.pairs(path, name, kind)
            else:
                sections.append((name, kind))
            self.noise(path)
        for name, kind in sections:
            if kind == "section":
                self.section((*path, name), depth)
            else:
                self.tables((*path, name), depth)

    def pairs(self, path, name, kind):
        inner = self.draw(st.lists(names, unique=True, min_size=1, max_size=3))
        keys = [(name, each) for each in inner] if kind == "dotted" else [(name,)]
        for key in keys:
            self.pair(path, key)

    def pair(self, path, key):
        value = self.draw(st.one_of(literals, values.map(render)))
        indent = self.draw(st.sampled_from(["", "", "  ", "\t"]))
        spaced = self.draw(st.sampled_from([" = ", "=", "  =  "]))
        dotted = self.draw(st.sampled_from([".", " . "])).join(map(render_name, key))
        behind = self.draw(st.sampled_from(["", "  # behind {}", "\t#{}"]))
        self.add(f"{indent}{dotted}{spaced}{value}{behind}", (*path, *key))

    def section(self, path, depth):
        # Without its own header, it is implied by those within.
        implied = depth > 1 and self.draw(st.booleans())
        if not implied:
            self.add(f"[{render_names(self.real(path))}]", path)
            self.table(path, depth - 1)
            return
        for name in self.draw(st.lists(names, unique=True, min_size=1, max_size=2)):
            self.section((*path, name), depth - 1)

    def tables(self, path, depth):
        for index in range(self.draw(st.integers(1, 2))):
            self.add(f"[[{render_names(self.real(path))}]]", path)
            self.table((*path, index), depth - 1)

    def real(self, path):
        return [each for each in path if isinstance(each, str)]

    def noise(self, path):
        for _ in range(self.draw(st.integers(0, 2))):
            if self.draw(st.booleans()):
                self.add("# comment {}", path, comment=True)
            else:
                self.add("", path, comment=True)

    def add(self, text, path, comment=False):
        self.count += 1
        # Every line is unique, so that one that is gone is missed.
        self.lines.append(Line(text.replace("{}", str(self.count)), path, comment))


@st.composite
def texts(draw):
    writer = _Writer(draw)
    writer.noise(())
    writer.table((), draw(st.integers(0, 3)))
    return Text(
        writer.lines, draw(st.sampled_from(["\n", "\n", "\r\n"])), draw(st.sampled_from(["", "\n"]))
    )
