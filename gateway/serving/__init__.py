"""The port: one head is read, then a connection is a WebSocket or HTTP.

`serve` takes any WebSocket handler, so that a conformance suite runs against exactly
this code.  hypercorn, h11 and websockets appear nowhere outside of this package.
"""
