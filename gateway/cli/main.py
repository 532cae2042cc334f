"""From arguments to an exit code: which commands there are, and how errors are said."""

import os
import sys
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError

import gateway
from gateway.cli.errors import INTERRUPTED, CommandError, UsageError, did_you_mean, tell
from gateway.cli.run import run
from gateway.errors import GatewayError

FAILED: Final = 1
"""Exit code of a command that could not do what it was asked to."""

USAGE: Final = 2
"""Exit code for arguments that make no sense; the convention of Unix."""

_COMMANDS: Final = {
    "status": "Show how the gateway is: version, health, who is connected.",
    "tree": "Show what runs inside of it, and what of that has failed.",
    "chat": "Talk to an agent.",
    "call": "Call a method and print its result.",
    "methods": "List the methods that may be called.",
    "health": "Say ok, degraded or unknown, and why.",
    "logs": "Show the log.",
    "check": "Check the configuration as a start would.",
    "token": "Print the token of the gateway on this machine.",
}
"""Commands that live in the module of their name, with what help says about them."""

_GROUPS: Final = {
    "config": (
        "Look at the configuration, change it, go back.",
        {
            "get": ("config:get", "Show the configuration in use, or a part of it."),
            "set": ("config:assign", "Set one value; every other line of the file stays as it is."),
            "unset": ("config:unset", "Remove a value, so that its default counts."),
            "edit": ("config:edit", "Change the file in $EDITOR; it is checked before it is used."),
            "diff": ("config:diff", "Show what the file would change of what the gateway runs on."),
            "revisions": ("config:revisions", "List what was in use, and who has changed what."),
            "rollback": ("config:rollback", "Go back to an earlier revision."),
            "schema": ("config:schema", "Print the JSON Schema of the file, for editors."),
            "import-openclaw": (
                "openclaw:import_openclaw",
                "Make the configuration from OpenClaw's.",
            ),
        },
    ),
    "channels": (
        "Look at where people talk to agents, add and remove accounts, send a message.",
        {
            "list": ("channels:show_all", "List all channels: how each is, and why."),
            "status": ("channels:show", "Show everything about one channel, or about each."),
            "add": ("adding:add", "Add an account on a platform; it can be talked to at once."),
            "remove": ("accounts:remove", "Remove an account; conversations stay."),
            "enable": ("accounts:enable", "Have a disabled account run."),
            "disable": ("accounts:disable", "Have an account not run, but keep its settings."),
            "probe": ("channels:probe", "Ask the platform itself whether the account works."),
            "start": ("channels:start", "Start a channel that was stopped or has failed."),
            "stop": ("channels:stop", "Stop a channel until it is started, or the gateway is."),
            "restart": ("channels:restart", "Make the connection anew."),
            "send": ("channels:send", "Send a message through a channel."),
        },
    ),
    "pairing": (
        "Look at who wants to talk to a channel, let them in or not.",
        {
            "list": ("pairing:show", "List who wants to talk, and who was approved."),
            "approve": ("pairing:approve", "Let whoever was given a code talk."),
            "reject": ("pairing:reject", "Have a code be good for nothing."),
            "revoke": ("pairing:revoke", "Have somebody who was approved be a stranger again."),
        },
    ),
    "approvals": (
        "Look at what agents want to do, and say yes or no.",
        {
            "list": ("approvals:show", "Show what waits, with everything it would do."),
            "approve": ("approvals:approve", "Let one use of a tool happen, once."),
            "deny": ("approvals:deny", "Have it not happen; the agent is told."),
        },
    ),
    "agents": (
        "Look at who there is to talk to, hire and dismiss.",
        {
            "list": ("agents:show_all", "List all agents; the first is the default."),
            "get": ("agents:show", "Show one agent with all its settings."),
            "create": ("agents:create", "Add an agent; it can be talked to at once."),
            "update": ("agents:update", "Change settings of an agent."),
            "delete": ("agents:delete", "Remove an agent; its sessions stay."),
        },
    ),
    "hooks": (
        "Look at the webhooks, try one.",
        {
            "list": ("hooks:show", "List what others may post to, and what comes of it."),
            "sign": (
                "hooks:sign_body",
                "Print the headers with which standard input would be accepted.",
            ),
        },
    ),
}
"""Commands below others: where each lives, and what help says about it."""

_COMPLETION: Final = "--install-completion"


def make_app() -> App:
    """Return the command line as a value; nothing is imported or run yet."""
    app = App(
        name="gateway",
        help="The one long-running process behind a personal AI assistant.",
        version=gateway.__version__,
        help_format="plaintext",
        result_action="return_value",
    )
    app.default(run)
    app.command(run, name="run")
    for name, words in _COMMANDS.items():
        app.command(f"gateway.cli.{name}:{name}", name=name, help=words)
    for group, (about, commands) in _GROUPS.items():
        inner = App(name=group, help=about)
        for name, (place, words) in commands.items():
            inner.command(f"gateway.cli.{place}", name=name, help=words)
        app.command(inner)
    return app


def main(arguments: Sequence[str]) -> int:
    """Run the command that *arguments* name; return the exit code."""
    try:
        _check_command(arguments)
        app = make_app()
        if {"--help", "-h", _COMPLETION} & set(arguments):
            # Importing what it needs would cost every command 40 ms.
            app.register_install_completion_command(name=_COMPLETION)
        return _run(app, arguments)
    except CycloptsError:
        return USAGE
    except (CommandError, GatewayError) as error:
        tell(error)
        return USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(app: App, arguments: Sequence[str]) -> int:
    """Run a command; `FAILED` when whoever reads our output has enough, like `head`."""
    try:
        return int(app(list(arguments), exit_on_error=False, print_error=True) or 0)
    except* BrokenPipeError:  # in a group, where one prints while others wait
        # Python would complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def _check_command(arguments: Sequence[str]) -> None:
    """Raise `UsageError` for a command that there is not.

    Left to cyclopts it would be an argument too many of the default command.
    """
    known = ("run", *_GROUPS, *_COMMANDS)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        raise UsageError(
            f"there is no command {arguments[0]}.{did_you_mean(arguments[0], known)}"
            " See python -m gateway --help."
        )
