async def test_a_client_connects_and_pings(autojump_clock, core):
    socket, hello = await core.connect()
    assert hello["role"] == "control"
    assert socket.trusted
    socket.say({"id": 1, "method": "ping"})
    assert await socket.next() == {"id": 1, "result": {}}
