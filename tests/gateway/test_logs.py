"""Logs: redacted by value, one line per event, bounded, private, and never in the way."""

import base64
import io
import logging
import os
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from urllib.parse import quote

import attrs
import orjson
import pytest
import structlog

from gateway import logs
from gateway.config.model import Logging
from gateway.errors import NotFoundError
from gateway.logs.drain import MOST_WAITING, Drain
from gateway.logs.files import RotatingFile
from gateway.logs.tail import MOST, Tail

SECRET = 's3cr3t/with+odd "chars" and ünïcode'
TOKEN = "tok_0123456789abcdefXYZ"


def fail(message):
    raise ValueError(message)


@attrs.define
class Output:
    """Logging configured for one test, with everything that it wrote."""

    logs: logs.Logs
    stream: io.StringIO
    file: Path

    @property
    def log(self):
        return structlog.get_logger("here")

    def text(self):
        self.logs.flush()
        return self.stream.getvalue()

    def entries(self):
        self.logs.flush()
        return [orjson.loads(line) for line in self.file.read_bytes().splitlines()]


@pytest.fixture
def start(tmp_path):
    started = []

    def start(**settings):
        redactor = logs.Redactor()
        redactor.add([SECRET, TOKEN, "short"])
        stream, file = io.StringIO(), tmp_path / "logs" / "gateway.log"
        configured = logs.configure(
            Logging(**{"format": "json", **settings}),
            file=file,
            stream=stream,
            redactor=redactor,
            tail=Tail(),
        )
        started.append(configured)
        return Output(configured, stream, file)

    yield start
    for each in started:
        each.close()


class TestEntries:
    def test_an_entry_has_time_level_logger_and_event_first(self, start):
        output = start()
        output.log.info("it happened", port=18789, wide=False)
        (entry,) = output.entries()
        assert list(entry) == ["time", "level", "logger", "event", "port", "wide"]
        assert entry["time"].endswith("Z")
        assert (entry["level"], entry["logger"], entry["event"]) == ("info", "here", "it happened")

    def test_the_same_entry_is_on_the_console_in_the_file_and_in_the_tail(self, start):
        output = start()
        output.log.warning("it happened", port=1)
        assert [orjson.loads(output.text())] == output.entries()
        assert output.logs.sink.tail.since()[0] == output.entries()

    def test_what_is_less_important_than_the_level_is_left_out(self, start):
        output = start(level="warning")
        output.log.info("no")
        output.log.warning("yes")
        logging.getLogger("library").info("no")
        logging.getLogger("library").error("yes, %s", "too")
        assert [each["event"] for each in output.entries()] == ["yes", "yes, too"]

    def test_a_level_set_later_holds_for_loggers_made_before(self, start):
        log = structlog.get_logger("early")
        output = start(level="error")
        log.info("no")
        log.error("yes")
        assert [each["event"] for each in output.entries()] == ["yes"]

    def test_exceptions_are_logged_with_their_traceback(self, start):
        output = start()
        try:
            fail("what went wrong")
        except ValueError:
            output.log.exception("failed")
            logging.getLogger("library").exception("failed")
        for entry in output.entries():
            assert entry["level"] == "error"
            assert entry["exception"].startswith("Traceback")
            assert entry["exception"].endswith("ValueError: what went wrong")

    def test_an_expected_failure_is_logged_without_its_traceback(self, start):
        output = start()
        error = NotFoundError("no such thing; make one")
        logging.getLogger("supervisors").warning("crashed: %s", error, exc_info=error)
        [entry] = output.entries()
        assert entry["event"] == "crashed: no such thing; make one"
        assert "exception" not in entry

    @pytest.mark.parametrize(
        "value",
        [
            *(10**5000, float("nan"), float("-inf"), "\ud800", b"\xff", None, ..., 2**64),
            *({1: {2: {3: {4: {5: 6}}}}}, object(), [[[[[[[1]]]]]]], {"a", "b"}, Path("/x")),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_anything_can_be_logged(self, start, value):
        output = start()
        output.log.info("odd", value=value)
        assert [each["event"] for each in output.entries()] == ["odd"]

    def test_a_value_whose_repr_fails_does_not_fail_the_caller(self, start):
        class Broken:
            def __repr__(self):
                raise RuntimeError("broken")

        output = start()
        output.log.info("odd", value=Broken())
        assert "Broken instance" in output.entries()[0]["value"]

    def test_a_message_of_a_library_that_does_not_fit_its_arguments_is_kept(self, start):
        output = start()
        logging.getLogger("library").error("%d of %s", *["x"])
        assert output.entries()[0]["event"] == "%d of %s"


class TestRedaction:
    @pytest.mark.parametrize("secret", [SECRET, TOKEN])
    @pytest.mark.parametrize(
        "form",
        [
            lambda s: s,
            lambda s: f"before{s}after",
            repr,
            ascii,
            lambda s: orjson.dumps({"token": s}).decode(),
            quote,
            lambda s: quote(s, safe=""),
            lambda s: re.sub("%..", lambda found: found[0].lower(), quote(s)),
            lambda s: base64.b64encode(s.encode()).decode(),
            lambda s: base64.urlsafe_b64encode(b"user:" + s.encode() + b"!").decode(),
            lambda s: base64.b64encode(b"usr:" + s.encode()).decode(),
            lambda s: s.encode().hex(),
            lambda s: s[::-1],
        ],
    )
    def test_a_secret_is_redacted_in_every_form_and_place(self, start, secret, form):
        output = start()
        shown = form(secret)
        core = shown.strip("'\"")[3:-4]

        output.log.info(shown, value=shown, deep={"a": [shown, {shown: 1}]}, **{shown: "key"})
        output.log.info("bytes", value=shown.encode())
        logging.getLogger("library").warning("got %s", shown)
        try:
            fail(shown)
        except ValueError:
            output.log.exception("failed")
        written = output.text() + output.file.read_text()
        assert written.count("***") >= 14
        assert core not in written
        assert secret not in str(output.logs.sink.tail.since())

    def test_a_secret_that_is_a_number_is_redacted_as_a_number_too(self, start):
        output = start()
        output.logs.sink.redactor.add(["12345678"])
        output.log.info("x", value=12345678, other=1234567)
        (entry,) = output.entries()
        assert (entry["value"], entry["other"]) == ("***", 1234567)

    def test_no_part_of_a_secret_survives_being_cut(self, start):
        output = start(entry_bytes=300)
        for length in range(240, 400):
            output.log.info("x" * length, value="".join(["x" * length, TOKEN, "y" * 1000]))
        assert TOKEN[:6] not in output.text()

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("https://user:pass@host/x", "https://***@host/x"),
            ("GET /?token=abc&x=1", "GET /?token=***&x=1"),
            ("/a?apiKey=abc#frag", "/a?apiKey=***#frag"),
            ("/a?x=1&X-Amz-Signature=ab", "/a?x=1&X-Amz-Signature=***"),
            ("Authorization: Bearer abcdefgh", "Authorization: Bearer ***"),
            ("see https://host/path?page=2", "see https://host/path?page=2"),
        ],
    )
    def test_unknown_secrets_are_redacted_by_structure(self, start, text, shown):
        output = start()
        output.log.info(text)
        assert output.entries()[0]["event"] == shown

    def test_values_under_telling_keys_are_never_written(self, start):
        output = start()
        output.log.info("x", token="a", headers={"Authorization": "b", "Host": "c"}, password=None)
        (entry,) = output.entries()
        assert entry["token"] == "***"
        assert entry["headers"] == {"Authorization": "***", "Host": "c"}
        assert entry["password"] is None

    def test_short_values_are_left_alone(self, start):
        output = start()
        output.log.info("a short word")
        assert output.entries()[0]["event"] == "a short word"

    def test_the_number_of_secrets_is_bounded_and_the_oldest_go(self):
        redactor = logs.Redactor()
        redactor.add(["the-first-secret"])
        redactor.add(f"secret-{number:06}" for number in range(1000))
        assert redactor.redact("the-first-secret secret-000999") == "the-first-secret ***"

    def test_hostile_text_is_redacted_in_linear_time(self):
        redactor = logs.Redactor()
        for unit in ("://", "?token", "?a=", "token", "bearer ", "&token.token=", "="):
            redactor.redact(unit * 200_000)


class TestBounds:
    def test_an_entry_is_one_line_whatever_is_in_it(self, start):
        output = start()
        hostile = "a\nb\r\nc\x1b[31m\u2028d\x85\u202ee\x00\ud800"
        output.log.info(hostile, value=hostile, **{hostile: hostile})
        (entry,) = output.entries()
        assert output.text().count("\n") == 1
        assert entry["event"] == r"a\nb\r\nc\x1b[31m\u2028d\x85\u202ee\x00\ud800"
        assert all(each.isprintable() for each in output.text().rstrip("\n"))

    def test_on_the_console_a_message_cannot_pass_for_an_entry(self, start):
        output = start(format="console")
        try:
            fail("x\n2026-01-01T00:00:00Z [info] all is well\x1b[2J")
        except ValueError:
            output.log.exception("failed")
        lines = output.text().splitlines()
        assert "failed" in lines[0]
        assert all(line.startswith("    ") for line in lines[1:])
        assert "\x1b" not in output.text()

    @pytest.mark.parametrize("most", [256, 1000, 16_384])
    def test_an_entry_is_never_longer_than_its_limit(self, start, most):
        output = start(entry_bytes=most)
        output.log.info("e" * 10**6, a='\\"' * 10**5, b=["ü" * 1000] * 1000)
        output.log.info("many", **{f"key{number}": number for number in range(5000)})
        output.log.info("k", **{"k" * 10**6: 1})
        for line in output.text().splitlines():
            assert len(line.encode()) <= most
            assert orjson.loads(line)["level"] == "info"

    def test_the_end_of_a_long_traceback_is_kept(self, start):
        output = start(entry_bytes=1000)
        try:
            fail("x" * 5000 + " the end")
        except ValueError:
            output.log.exception("failed")
        assert output.entries()[0]["exception"].endswith("the end")


class TestFile:
    @pytest.fixture(params=[0o000, 0o077])
    def umask(self, request):
        before = os.umask(request.param)
        yield
        os.umask(before)

    def test_it_is_private_also_after_rotation(self, umask, tmp_path):
        file = RotatingFile(tmp_path / "logs" / "gateway.log", most=100, kept=3)
        for number in range(10):
            file.write(b"%d" % number * 60 + b"\n")
        names = sorted(each.name for each in file.path.parent.iterdir())
        assert names == ["gateway.log", "gateway.log.1", "gateway.log.2", "gateway.log.3"]
        for each in file.path.parent.iterdir():
            assert each.stat().st_mode & 0o777 == 0o600
            assert each.stat().st_size == 61
        assert file.path.parent.stat().st_mode & 0o777 == 0o700
        assert file.path.with_name("gateway.log.1").read_bytes().startswith(b"8")

    def test_it_is_not_written_through_a_link(self, tmp_path):
        (tmp_path / "gateway.log").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="symbolic"):
            RotatingFile(tmp_path / "gateway.log", 100, 1).write(b"x")
        assert not (tmp_path / "elsewhere").exists()

    def test_a_file_that_was_moved_away_is_made_again(self, start, tmp_path):
        output = start()
        output.log.info("one")
        output.logs.flush()
        output.file.rename(tmp_path / "moved")
        output.log.info("two")
        assert [each["event"] for each in output.entries()] == ["two"]

    def test_a_full_disk_stops_nothing_and_is_reported_afterwards(self, start):
        output = start()
        output.logs.sink.file.write = self.full
        output.log.info("lost")
        output.log.info("lost")
        output.logs.flush()
        assert output.text().count("lost") == 2
        output.logs.sink.file.write = RotatingFile(output.file, 1000, 1).write
        output.log.info("again")
        first, second = output.entries()
        assert first["lost"] == 2
        assert second["event"] == "again"

    def full(self, lines):
        raise OSError(28, "No space left on device")


class TestDrain:
    def test_whoever_logs_does_not_wait_and_what_waits_is_bounded(self):
        blocked, written = threading.Event(), []

        def write(lines):
            blocked.wait()
            written.append(lines)

        drain = Drain(write, lambda lost: b"lost %d\n" % lost)
        line = b"x" * 1023 + b"\n"
        for _ in range(2 * MOST_WAITING // len(line)):
            drain.put(line)
        assert not drain.flush(0)
        blocked.set()
        drain.close(10)
        everything = b"".join(written)
        assert MOST_WAITING <= everything.count(line) * len(line) <= MOST_WAITING + 2**17
        assert b"lost " in everything

    def test_a_closed_stream_is_no_error(self):
        stream = io.StringIO()
        stream.close()
        drain = Drain(lambda lines: stream.write("x"), lambda lost: b"")
        drain.put(b"x")
        drain.close(10)
        assert drain.lost == 1


class TestTail:
    @pytest.fixture
    def tail(self):
        tail = Tail()
        for number in range(5):
            tail.add("error" if number % 2 else "info", b'{"n":%d}' % number)
        return tail

    @staticmethod
    def numbers(found):
        return [each["n"] for each in found]

    def test_without_a_cursor_the_latest_come_oldest_first(self, tail):
        found, _, reset = tail.since(limit=2)
        assert self.numbers(found) == [3, 4]
        assert not reset

    def test_from_its_cursor_on_nothing_is_missed_or_repeated(self, tail):
        _, cursor, _ = tail.since(limit=1)
        assert tail.since(cursor) == ([], cursor, False)
        for number in range(5, 10):
            tail.add("info", b'{"n":%d}' % number)
        seen = []
        while True:
            found, cursor, reset = tail.since(cursor, limit=2)
            assert not reset
            if not found:
                break
            seen += self.numbers(found)
        assert seen == [5, 6, 7, 8, 9]

    def test_a_level_leaves_out_what_is_less_important(self, tail):
        found, cursor, _ = tail.since(level="warning")
        assert self.numbers(found) == [1, 3]
        assert tail.since(cursor, level="warning") == ([], cursor, False)

    def test_a_cursor_that_is_too_old_or_not_ours_begins_at_the_oldest(self, tail):
        _, cursor, _ = tail.since()
        for number in range(MOST + 10):
            tail.add("info", b'{"n":%d}' % number)
        for strange in (cursor, cursor + 10**9, -1):
            found, _, reset = tail.since(strange, limit=1)
            assert reset
            assert self.numbers(found) == [10]

    def test_it_is_bounded_in_bytes(self):
        tail = Tail()
        for _ in range(500):
            tail.add("info", b'"' + b"x" * 16_000 + b'"')
        assert len(tail.since(limit=1000)[0]) == 131


class TestWhatNobodyCaught:
    def test_warnings_and_exceptions_of_threads_are_logged(self, start):
        output = start()

        thread = threading.Thread(target=fail, args=("in a thread",), name="t")
        thread.start()
        thread.join()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            # catch_warnings has put the hook of pytest in place of ours.
            warnings.showwarning = logs.configure.__globals__["_warning"]
            warnings.warn("careful", UserWarning, stacklevel=1)
        first, second = output.entries()
        assert first["thread"] == "t"
        assert "in a thread" in first["exception"]
        assert (second["event"], second["category"]) == ("careful", "UserWarning")

    def test_an_exception_that_ends_the_process_is_written_before_it_does(self, tmp_path):
        code = (
            "from pathlib import Path; from gateway import logs\n"
            "from gateway.config.model import Logging\n"
            f"logs.redactor.add(['{TOKEN}'])\n"
            f"logs.configure(Logging(format='json'), file=Path('{tmp_path}/l/x.log'))\n"
            f"raise ValueError('{TOKEN}')"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        assert orjson.loads(done.stderr)["exception"].endswith("ValueError: ***")
        assert TOKEN not in done.stderr
        assert (tmp_path / "l" / "x.log").read_text() == done.stderr


def test_closing_puts_everything_back(start):
    before = (logging.getLogger().handlers, sys.excepthook, structlog.get_config())
    output = start()
    output.logs.close()
    output.logs.close()
    assert (logging.getLogger().handlers, sys.excepthook, structlog.get_config()) == before
