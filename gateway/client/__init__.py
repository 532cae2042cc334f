"""The gateway's client, usable from any Trio program.

    async with connect("ws://127.0.0.1:18789", token=token) as client:
        answer = await client.call("agent.run", {"message": "Hello"})
        async for event in client.events("agent.*"):
            print(event.name, event.data)

It keeps the connection alive, comes back after a loss (with the events that were missed)
and raises one exception at a time: `RpcError` for what the gateway answers,
`ConnectionLostError`, `UnreachableError` and `RefusedError` for the connection.  All are
`gateway.errors.GatewayError`.
"""

from .client import Client, connect
from .errors import ConnectionLostError, RefusedError, RpcError, UnreachableError
from .events import BACK, GAP, LOST, Event, Events

__all__ = [
    "BACK",
    "GAP",
    "LOST",
    "Client",
    "ConnectionLostError",
    "Event",
    "Events",
    "RefusedError",
    "RpcError",
    "UnreachableError",
    "connect",
]
