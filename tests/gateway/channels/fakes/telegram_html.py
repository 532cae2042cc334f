"""Telegram's HTML as the Bot API reads it: strictly.  Returns the text and its entities."""

import re
from html import unescape

TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline",
    "ins": "underline", "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough",
    "tg-spoiler": "spoiler", "a": "text_link", "code": "code", "pre": "pre",
    "blockquote": "blockquote",
}  # fmt: skip
ATTRIBUTES = {"a": {"href"}, "code": {"class"}, "blockquote": {"expandable"}}
TAG = re.compile(r"<(/?)([a-z][a-z0-9-]*)((?:\s+[a-z-]+(?:=\"[^\"<>]*\")?)*)\s*>")
ATTRIBUTE = re.compile(r"([a-z-]+)(?:=\"([^\"<>]*)\")?")
ENTITY = re.compile(r"&(lt|gt|amp|quot|#[0-9]+|#x[0-9a-fA-F]+);")


class BadHtmlError(Exception):
    """What the Bot API would say after "can't parse entities: "."""


def units(text):
    """Return the length of *text* in UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def parse(html):
    """Return text and entities; stricter than Telegram: a bare "<" or "&" is refused."""
    text, entities, opened, place = "", [], [], 0
    while place < len(html):
        character = html[place]
        if character == "<":
            if not (found := TAG.match(html, place)):
                raise BadHtmlError(f"Unsupported start tag at byte offset {place}")
            closing, name, rest = found.groups()
            if name not in TAGS:
                raise BadHtmlError(f'Unsupported start tag "{name}" at byte offset {place}')
            if closing:
                _close(text, entities, opened, name)
            else:
                opened.append((name, _attributes(name, rest), units(text)))
            place = found.end()
        elif character == "&":
            if not (found := ENTITY.match(html, place)):
                raise BadHtmlError(f"Unescaped & at byte offset {place}")
            text += unescape(found[0])
            place = found.end()
        elif character == ">":
            raise BadHtmlError(f"Unescaped > at byte offset {place}")
        else:
            text, place = text + character, place + 1
    if opened:
        raise BadHtmlError(f'Can\'t find end tag corresponding to start tag "{opened[-1][0]}"')
    return _trimmed(text, sorted(entities, key=lambda each: each["offset"]))


def _attributes(name, rest):
    found = {key: unescape(value) for key, value in ATTRIBUTE.findall(rest)}
    if found.keys() - ATTRIBUTES.get(name, set()):
        raise BadHtmlError(f'Unexpected attribute in tag "{name}"')
    if name == "a" and not re.match(r"(https?|mailto):", found.get("href", "")):
        raise BadHtmlError("Empty or odd link")
    return found


def _close(text, entities, opened, name):
    if not opened or opened[-1][0] != name:
        raise BadHtmlError(f'Unmatched end tag "{name}"')
    _, attributes, start = opened.pop()
    around = {each[0] for each in opened}
    if name == "blockquote" and "blockquote" in around:
        raise BadHtmlError("Blockquotes can't be nested")
    if around & {"code"} or ("pre" in around and name != "code"):
        raise BadHtmlError("Nothing can be inside code")
    entity = {"type": TAGS[name], "offset": start, "length": units(text) - start}
    if name == "a":
        entity["url"] = attributes["href"]
    if name == "code" and "pre" in around:
        return
    if entity["length"]:
        entities.append(entity)


def _trimmed(text, entities):
    """Cut blanks at both ends, as Telegram does; entities stay within the text."""
    left = units(text) - units(text.lstrip())
    kept = text.strip()
    moved = []
    for each in entities:
        start = max(each["offset"] - left, 0)
        end = min(each["offset"] - left + each["length"], units(kept))
        if end > start:
            moved.append(each | {"offset": start, "length": end - start})
    return kept, moved
