"""`supervisors.testing.running`: one child, without a supervisor."""

import pytest
import trio

from supervisors import Child, State, Supervisor
from supervisors.testing import running


async def serve(life, jobs=1, *, linger=0.0):
    life.describe(lambda: {"jobs": jobs})
    life.started("ready")
    await life.wait_stopping()
    await trio.sleep(linger)


async def linger(life):
    await serve(life, linger=20)


async def fail(life, seconds, error):
    life.started()
    with trio.move_on_after(seconds):
        await life.wait_stopping()
    raise error


async def fail_to_start(life):
    raise OSError("port taken")


async def never_start(_life):
    await trio.sleep_forever()


async def test_it_is_up_inside_the_block_and_gone_afterwards(autojump_clock):
    async with running(serve, 3) as subject:
        assert (subject.value, subject.detail) == ("ready", {"jobs": 3})
        assert subject.state is State.RUNNING
        assert subject.status.path == "test"
        assert subject.status.healthy
        assert not subject.stopping
    assert subject.state is State.STOPPED
    assert [event.kind for event in subject.events] == ["started", "stopped"]


async def test_it_can_be_stopped_inside_the_block(autojump_clock):
    async with running(serve) as subject:
        subject.ask_to_stop()
        assert subject.state is State.STOPPING
        await subject.wait_ended()
        await subject.stop()
        assert subject.life.stopping


async def test_returning_early_is_seen_and_is_no_error(autojump_clock):
    async def finish(life):
        life.started()

    async with running(finish, name="brief") as subject:
        await subject.wait_ended()
        assert subject.state is State.FINISHED
        assert subject.status.path == "brief"


@pytest.mark.parametrize(
    "error", [ValueError("x"), ExceptionGroup("two", [ValueError(), OSError()])]
)
async def test_a_crash_cancels_the_block_and_is_raised_as_it_is(autojump_clock, error):
    with pytest.raises(type(error)) as caught:
        async with running(fail, 5, error):
            await trio.sleep_forever()
    assert repr(caught.value) == repr(error)
    assert trio.current_time() < 6


async def test_an_error_while_stopping_is_raised_as_it_is(autojump_clock):
    with pytest.raises(ValueError, match="x"):
        async with running(fail, 50, ValueError("x")):
            pass
    with pytest.raises(ValueError, match="x"):
        async with running(fail, 50, ValueError("x")) as subject:
            await subject.stop()
    async with running(fail, 50, ValueError("x")) as subject:
        with pytest.raises(ValueError, match="x"):
            await subject.stop()
    assert subject.status.error == "ValueError: x"


async def test_a_start_that_fails_is_raised_as_it_is(autojump_clock):
    with pytest.raises(OSError, match="port taken"):
        async with running(fail_to_start):
            pytest.fail("it is not up")
    with pytest.raises(trio.TooSlowError, match="did not start within 3 s"):
        async with running(never_start, start_timeout=3):
            pytest.fail("it is not up")


async def test_a_child_that_does_not_stop_in_time_fails_the_test(autojump_clock):
    with pytest.raises(trio.TooSlowError, match="did not stop within 10 s"):
        async with running(linger):
            pass
    async with running(linger, stop_timeout=0):
        pass
    async with running(linger, stop_timeout=21):
        pass


async def test_what_the_block_raises_is_raised_as_it_is_and_cancels_the_child(autojump_clock):
    with pytest.raises(AssertionError, match="mine"):
        async with running(linger) as subject:
            raise AssertionError("mine")
    assert [event.kind for event in subject.events] == ["started", "cut-short"]
    assert trio.current_time() < 1


async def test_several_errors_and_interrupts_are_raised_together(autojump_clock):
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running(serve):
            raise KeyboardInterrupt
    assert caught.value.split(KeyboardInterrupt)[1] is None


async def test_a_silent_child_fails_the_test(autojump_clock):
    with pytest.raises(TimeoutError, match="no heartbeat for 7 s"):
        async with running(serve, heartbeat=7) as subject:
            await trio.sleep_forever()
    assert subject.status.error == "TimeoutError: no heartbeat for 7 s"


async def test_a_child_that_is_stuck_is_reported(autojump_clock):
    async def hold_out(life):
        life.started()
        with trio.move_on_after(12, shield=True):
            await trio.sleep_forever()

    async with running(hold_out, stop_timeout=0) as subject:
        await trio.lowlevel.checkpoint()
    assert [event.kind for event in subject.events] == ["started", "stuck", "stuck", "stopped"]


async def test_a_supervisor_can_be_the_child_under_test(autojump_clock):
    inner = Supervisor("inner", [Child("leaf", serve)])
    async with running(inner.as_child().run, name="top") as subject:
        [leaf] = subject.status.children
        assert (leaf.path, leaf.detail) == ("top/leaf", {"jobs": 1})
    assert [(event.kind, event.path) for event in subject.events] == [
        ("started", "top/leaf"),
        ("started", "top"),
        ("stopped", "top/leaf"),
        ("stopped", "top"),
    ]
