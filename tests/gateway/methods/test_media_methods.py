"""media.put: a file over RPC, through a whole gateway, onto the disk and within its quota."""

import base64
import stat

import orjson
import pytest
from whole import CONFIG, gateway

from gateway.rpc.allowance import Allowance
from gateway.rpc.auth import Principal
from gateway.storage.media import ID

WRITER = Principal("w", "control", frozenset({"write"}))


async def put(app, **params):
    """Return what is answered."""
    params = {"idempotencyKey": params.get("name", "k"), **params}
    frame = orjson.dumps({"id": 1, "method": "media.put", "params": params})
    return orjson.loads(await app.dispatcher.answer(frame, WRITER, Allowance(0, 0)))


async def test_a_file_is_stored_for_the_owner_only_below_the_state(tmp_path):
    async with gateway(tmp_path) as app:
        content = base64.b64encode(b"content").decode()
        answer = await put(app, name="../a.txt", content=content, mime="text/plain")
        stored = answer["result"]
        assert (stored["name"], stored["mime"], stored["size"]) == ("a.txt", "text/plain", 7)
        assert ID.fullmatch(stored["id"])
        path = tmp_path / "state" / "media" / stored["id"]
        assert path.read_bytes() == b"content"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["no base64!", "YQ", "ÿÿÿÿ"])
async def test_what_is_no_base64_is_refused(tmp_path, content):
    async with gateway(tmp_path) as app:
        error = (await put(app, name="a", content=content))["error"]
        assert error["data"]["kind"] == "invalid-params"


async def test_the_quota_of_the_configuration_holds(tmp_path):
    config = f"{CONFIG}\n[media]\nquota_bytes = 1_000_000\n"
    async with gateway(tmp_path, config) as app:
        content = base64.b64encode(bytes(400_000)).decode()
        for name in "abc":
            assert "result" in await put(app, name=name, content=content)
        assert len([*(tmp_path / "state" / "media").iterdir()]) == 2
