"""Texts that break programs: the Big List of Naughty Strings, and more of our own.

The list is Max Woolf's, from https://github.com/minimaxir/big-list-of-naughty-strings (npm
package 1.0.0), under the MIT licence that stands beside it.
"""

import json
from pathlib import Path

LISTED = json.loads((Path(__file__).parent / "naughty_strings" / "blns.json").read_text())

DIRECTIONS = [
    chr(each) for each in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)
]
UNSEEN = [
    chr(each)
    for each in (
        0,
        7,
        8,
        0x1B,
        0x7F,
        0x85,
        0x9B,
        0xA0,
        0xAD,
        0x34F,
        0x61C,
        0x115F,
        0x180E,
        0x2028,
        0x2029,
        0x200B,
        0x200C,
        0x200D,
        0x2060,
        0x2064,
        0x3164,
        0xFE0F,
        0xFEFF,
        0xFFF9,
        0xFFFC,
        0xFFFD,
        0xFFFE,
        0xFFFF,
        0x1D173,
        0xE0001,
        0xE0041,
        0x10FFFF,
    )
]
HALVES = ["\ud800", "\udfff", "a\ud83d", "\ude00b", "\udc80\udcff", "\ude00\ud83d"]
MARKS = [
    "*",
    "_",
    "**",
    "__",
    "~~",
    "`",
    "```",
    "~~~",
    "[",
    "]",
    "](",
    "![",
    "<",
    ">",
    "&",
    "|",
    "||",
    "#",
    "-",
    "\\",
    "<!--",
    "<![CDATA[",
    "&#0;",
    "&#x110000;",
    "[a](javascript:x)",
    "[a](<",
    "$$",
    "<@1>",
    "<!everyone>",
    "@everyone",
    "@here",
    "<b",
    "<a href='",
    "{{",
    "}}",
    "%s",
    "%n",
]
COMMANDS = [
    "/new x",
    "/stop",
    "/",
    "//",
    "/\u202enew",
    "/allow x",
    "/start@bot",
    "!help",
    "\r\nQUIT :x",
    "\nPRIVMSG #a :b",
    "MEDIA:/etc/passwd",
    "file:///etc/passwd",
    "../../etc/passwd",
    "[attached image: a, media-000000000000000000000000]",
    "\x01ACTION x\x01",
    "\x1b]0;x\x07",
]
PIECES = [
    "\u200dx",
    "e" + "\u0301" * 500,
    "\u0489" * 300,
    "👩‍👩‍👧‍👦" * 200,
    "🏴" + "\U000e0067" * 100,
    "🇩" * 101,
    "\u0e33" * 300,
    "ﷺ" * 300,
    "\U00012031" * 300,
    "한" * 500,
    "a" * 5000,
    "a " * 3000,
    "\n" * 3000,
    "```\n" * 300,
    "```py\n" + "x\n" * 1500,
    "> " * 500 + "x",
    "- " * 500 + "x",
    "[" * 1000,
    "(" * 1000,
    "*" * 999 + "a" + "*" * 999,
    "**a" * 500,
    "_a_" * 500,
    "`" * 1000 + "a",
    "<b>" * 500,
    "&amp;" * 500,
    "http://" + "a" * 3000,
    "|a|b|\n|-|-|\n" + "|c|d|\n" * 200,
    "\t" * 500 + "x",
    "\ufeffx\ufeff",
    "a\u2028b\u2029c",
    "x" * 150_000,
    "\U0010ffff" * 40_000,
    "1\N{COMBINING ENCLOSING KEYCAP}" * 300,
]

NAUGHTY = list(
    dict.fromkeys(
        [
            *LISTED,
            *DIRECTIONS,
            *UNSEEN,
            *(f"a{each}b" for each in (*DIRECTIONS, *UNSEEN)),
            *HALVES,
            *MARKS,
            *(f"{each}a{each}" for each in MARKS),
            *COMMANDS,
            *PIECES,
        ]
    )
)
"""More than 500 of them, each once."""
