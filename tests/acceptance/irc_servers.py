"""Real IRC servers of Debian, and a guest on them who knows nothing of our code."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import asynccontextmanager, closing
from getpass import getuser

import attrs
import irctokens
import pytest
import trio

NGIRCD = """
[Global]
Name = ng.test
Info = test
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = hello
ServerUID = {user}
[Limits]
PingTimeout = 300
MaxConnectionsIP = 0
[Options]
Ident = no
DNS = no
PAM = no
[Operator]
Name = god
Password = god
"""

INSPIRCD = """
<server name="insp.test" description="test" network="Test">
<admin name="a" nick="a" email="a@b.test">
<bind address="127.0.0.1" port="{port}" type="clients">
<connect name="main" allow="*" resolvehostnames="no" useconnectban="no" useconnflood="no"
  localmax="100" globalmax="100" threshold="10" commandrate="1000" fakelag="{fakelag}">
<class name="c" commands="*" privs="*" usermodes="*" chanmodes="*" snomasks="*">
<type name="t" classes="c">
<oper name="god" password="god" host="*@*" type="t">
<module name="cap"><module name="ircv3"><module name="ircv3_servertime">
<module name="ircv3_msgid"><module name="ircv3_echomessage"><module name="ircv3_accounttag">
<module name="ircv3_ctctags"><module name="botmode">
<log method="file" type="*" level="default" target="{folder}/inspircd.log">
"""

PATHS = "/usr/sbin:/usr/local/sbin"


@attrs.define
class Server:
    """One of the two; *kind* says which.  It can be stopped, started again and frozen."""

    kind: str
    folder: object
    port: int
    slows_down: bool = False
    """Whether InspIRCd delays who is fast, as it does by default; ngircd always does."""
    process: subprocess.Popen | None = None

    @property
    def command(self):
        found = shutil.which(self.kind, path=f"{os.environ['PATH']}:{PATHS}")
        if found is None and "CI" not in os.environ:
            pytest.skip(f"{self.kind} is not installed: see .ci/packages")
        assert found, f"{self.kind} is not installed"
        configuration = self.folder / f"{self.kind}.conf"
        text = NGIRCD if self.kind == "ngircd" else INSPIRCD
        configuration.write_text(
            text.format(
                port=self.port,
                user=getuser(),
                folder=self.folder,
                fakelag="on" if self.slows_down else "off",
            ),
            "utf-8",
        )
        if self.kind == "ngircd":
            return [found, "-n", "-f", str(configuration)]
        return [found, "--nofork", "--runasroot", "--nopid", f"--config={configuration}"]

    def start(self):
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output)
        for _ in range(200):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self.process.poll() is not None:
                break
            pause()
        raise AssertionError((self.folder / "output").read_text())

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


def pause():
    """Give a process that starts a moment."""
    time.sleep(0.05)


@attrs.define
class Guest:
    """A person with a client of his own."""

    stream: trio.SocketStream
    nick: str
    said: list = attrs.field(factory=list)
    decoder: irctokens.StatefulDecoder = attrs.field(factory=irctokens.StatefulDecoder)

    async def send(self, command, *params):
        line = irctokens.build(command, list(params)).format()
        await self.stream.send_all(f"{line}\r\n".encode())

    async def wait(self, wanted):
        """Return the next line for which *wanted* holds, reading on if need be."""
        while True:
            for index, line in enumerate(self.said):
                if wanted(line):
                    del self.said[: index + 1]
                    return line
            lines = self.decoder.push(await self.stream.receive_some(65536))
            assert lines is not None, "the server closed the guest's connection"
            for line in lines:
                if line.command == "PING":
                    await self.send("PONG", line.params[-1])
            self.said += lines

    async def hear(self, target=None, *, command="PRIVMSG"):
        """Return the text of the next message to *target*, by default the guest."""
        target = target or self.nick
        line = await self.wait(lambda each: each.command == command and each.params[0] == target)
        return line.params[1]

    async def done(self):
        """Return when the server has executed what was sent."""
        await self.send("PING", "done")
        await self.wait(lambda each: each.command == "PONG")

    async def join(self, channel):
        await self.send("JOIN", channel)
        await self.wait(lambda each: each.command == "366")


@asynccontextmanager
async def guest(port, nick):
    """A guest who has logged in."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        made = Guest(stream, nick)
        await made.send("NICK", nick)
        await made.send("USER", nick, "0", "*", nick)
        await made.wait(lambda each: each.command in {"376", "422"})
        yield made
