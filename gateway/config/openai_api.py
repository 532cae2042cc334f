"""Settings of the HTTP API that speaks as OpenAI does.  Pure."""

import attrs

from gateway.config.setting import setting


@attrs.frozen
class OpenAIApi:
    """`/v1/chat/completions` and `/v1/models`: agents for programs that know OpenAI's API.

    On by default: it wants the same credentials and scopes as every other way in, and
    gives nothing that `agent.run` does not.
    """

    enabled: bool = setting(True, "Whether `/v1` answers.")
