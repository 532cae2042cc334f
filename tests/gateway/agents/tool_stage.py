"""Agents with tools, in memory: a model that follows a script, and tools that do as told."""

import attrs
import trio
from agent_stage import Stage

from gateway.agents.providers import Answer, Chunk, ToolCall
from gateway.agents.tools import Use
from gateway.agents.tools.registry import Tools
from gateway.agents.tools.toolbox import Toolbox
from gateway.config.tools import ToolPolicy
from gateway.errors import UnavailableError
from gateway.protocol.convert import param

OWNER = Use("main", "sess-1", "run-1", "owner")


def call(name, arguments="{}", number=1):
    """Return a call as models write it."""
    return ToolCall(f"c{number}", name, arguments)


@attrs.define
class Scripted:
    """Answers with *script*, one entry after another: text, calls, an error, or a function.

    A function gets the turn and returns one of the others.  When the script is over it
    answers with what the last message says.
    """

    script: list = attrs.field(factory=list)
    turns: list = attrs.field(factory=list)

    async def answer(self, turn, emit):
        await trio.lowlevel.checkpoint()
        self.turns.append(turn)
        entry = self.script.pop(0) if self.script else turn.messages[-1].content
        entry = entry(turn) if callable(entry) else entry
        if isinstance(entry, Exception):
            raise entry
        text, *calls = (entry,) if isinstance(entry, str) else entry
        if text:
            emit(Chunk("delta", text))
        return Answer(text, {"words": 1, "of": {"text": 2}}, tuple(calls))

    async def summary(self, turn):
        await trio.lowlevel.checkpoint()
        return " | ".join(said.content for said in turn.messages)

    async def models(self):
        return ()


@attrs.frozen
class Text:
    """A text, and how often."""

    text: str = param("What to say.")
    times: int = param("How often.", 1)


@attrs.define(eq=False)
class Workshop:
    """Some tools, and what was done with them."""

    used: list = attrs.field(factory=list)
    tools: Tools = attrs.field(factory=Tools)

    def __attrs_post_init__(self):
        @self.tools.tool()
        async def shout(params: Text, use: Use) -> str:
            """Say a text loudly."""
            self.used.append(("shout", params.text, use))
            return " ".join([params.text.upper()] * params.times)

        @self.tools.tool(privileged=True)
        async def launch(params: Text, use: Use) -> dict:
            """Launch a text."""
            self.used.append(("launch", params.text, use))
            return {"launched": params.text}

        @self.tools.tool(deadline=5.0)
        async def dawdle(params: Text, use: Use) -> str:
            """Never get ready."""
            self.used.append(("dawdle", params.text, use))
            await trio.sleep_forever()

        @self.tools.tool()
        async def fail(params: Text, use: Use) -> str:
            """Fail in one of several ways."""
            self.used.append(("fail", params.text, use))
            if params.text == "bug":
                raise ZeroDivisionError("secret detail")
            raise UnavailableError("try again tomorrow")


@attrs.define
class ToolStage(Stage):
    """A `Stage` whose agent ``main`` is `Scripted` and has the `Workshop`'s tools."""

    model: Scripted = attrs.field(factory=Scripted)
    workshop: Workshop = attrs.field(factory=Workshop)
    policies: dict = attrs.field(factory=lambda: {"main": ToolPolicy(allow=("*",))})
    toolbox: Toolbox = attrs.field(init=False)

    def again(self):
        self.toolbox = Toolbox(self.bus, policy_of=self.policies.__getitem__)
        self.toolbox.registry.add(self.workshop.tools.all)
        super().again()
        self.runs.toolbox = self.toolbox
        self.catalog.providers["told"] = self.model

    def policy(self, **lists):
        """Have the agent's policy be this from now on."""
        self.policies["main"] = ToolPolicy(**lists)

    def of_tools(self):
        """Return state and tool of what was told of tools, in order."""
        return [(data["state"], data["tool"]) for name, data in self.events if name == "agent.tool"]
