"""What sessions have cost, in tokens, as far as providers have said."""

import json
from sqlite3 import Connection

import attrs

from gateway.agents.tokens import reported


@attrs.frozen
class Usage:
    """Tokens that went in and came out, of all *runs* that were begun.

    Only answers are counted for which the provider has reported it; summaries are not.
    """

    runs: int
    input_tokens: int
    output_tokens: int


def of_session(sql: Connection, session_id: str) -> Usage:
    """Return what the runs of a session have used; zeros if there are none."""
    rows = sql.execute("SELECT usage FROM runs WHERE session_id = ?", (session_id,)).fetchall()
    counted = [reported(json.loads(usage)) for (usage,) in rows if usage]
    return Usage(len(rows), sum(each for each, _ in counted), sum(each for _, each in counted))
