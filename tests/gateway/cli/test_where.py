"""Which gateway a command talks to: this machine's token never leaves it."""

import pytest

from gateway.cli.errors import CommandError
from gateway.cli.where import InvalidFileError, Target, Where, resolve
from gateway.storage.opening import open_writer
from gateway.storage.schema import STEPS

TOKEN = "a-token-of-many-more-than-128-bits-of-randomness"
READER = "another-token-of-many-more-than-128-bits-for-reading"


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "gateway.toml"

    def write(gateway="", auth=f'[auth.tokens.default]\ntoken = "{TOKEN}"\n'):
        file.write_text(f"[gateway]\n{gateway}\n{auth}")
        file.chmod(0o600)
        return file

    return write


def test_a_command_finds_the_gateway_of_this_machine_and_its_token(config):
    assert resolve(Where(config=config("port = 4711")), {}) == Target("ws://127.0.0.1:4711", TOKEN)


def test_the_environment_says_where_the_configuration_is(config):
    environ = {"GATEWAY_CONFIG": str(config("port = 4711"))}
    assert resolve(Where(), environ).url == "ws://127.0.0.1:4711"


def test_the_environment_wins_over_the_configuration(config):
    environ = {"GATEWAY_PORT": "4712", "GATEWAY_TOKEN": READER}
    assert resolve(Where(config=config("port = 4711")), environ) == Target(
        "ws://127.0.0.1:4712", READER
    )


def test_the_token_that_allows_most_is_taken(config):
    auth = (
        f'[auth.tokens.a]\ntoken = "{READER}"\nscopes = ["read"]\n'
        f'[auth.tokens.b]\ntoken = "{TOKEN}"\n'
        f'[auth.tokens.c]\ntoken = "c-{TOKEN}"\nrole = "node"\n'
    )
    assert resolve(Where(config=config(auth=auth)), {}).token == TOKEN


def test_a_password_is_used_where_there_is_no_token(config):
    target = resolve(Where(config=config(auth='[auth]\npassword = "long enough"')), {})
    assert (target.token, target.password) == (None, "long enough")


@pytest.mark.parametrize("url", ["ws://10.0.0.7:18789", "wss://home.example", "ws://[fe80::1]:1"])
def test_the_token_of_this_machine_is_never_sent_to_another(config, url):
    where = Where(url=url, config=config())
    with pytest.raises(CommandError, match="give its token with --token"):
        resolve(where, {"GATEWAY_TOKEN": TOKEN})


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "ws://localhost:1", "ws://[::1]:1"])
def test_another_port_of_this_machine_gets_it(config, url):
    assert resolve(Where(url=url, config=config()), {}) == Target(url, TOKEN)


def test_with_address_and_token_no_configuration_is_looked_at(tmp_path):
    where = Where(url="wss://home.example", token="theirs", config=tmp_path / "none")
    assert resolve(where, {}) == Target("wss://home.example", "theirs")


@pytest.mark.parametrize(
    ("bind", "host"),
    [("lan", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("192.0.2.7", "192.0.2.7")],
)
def test_a_gateway_that_listens_elsewhere_is_found(config, bind, host):
    where = Where(config=config(f'bind = "{bind}"\nport = 4711'))
    assert resolve(where, {}).url == f"ws://{host}:4711"


@pytest.mark.parametrize("url", ["foo", "ws://", "ws://[::1", "ws://127.0.0.1:99999", "ws://a:b"])
@pytest.mark.parametrize("token", [None, TOKEN])
def test_what_is_no_address_is_not_taken_for_another_machine(config, url, token):
    with pytest.raises(CommandError, match="is no address like ws://"):
        resolve(Where(url=url, token=token, config=config()), {})


def test_an_empty_token_is_a_mistake_of_the_shell(config):
    with pytest.raises(CommandError, match="--token is empty"):
        resolve(Where(token="", config=config()), {})


def test_without_a_configuration_it_says_how_to_get_one(tmp_path):
    with pytest.raises(CommandError, match="Start the gateway once"):
        resolve(Where(config=tmp_path / "none.toml"), {})


def test_an_invalid_configuration_is_not_guessed_at(config):
    with pytest.raises(CommandError, match="gateway check says what is wrong"):
        resolve(Where(config=config("prot = 1")), {})


def test_tokens_are_not_in_what_is_printed_of_a_target():
    assert TOKEN not in repr(Target("ws://a", TOKEN, TOKEN)) + repr(Where(token=TOKEN))


def test_while_the_file_is_broken_the_gateway_runs_on_the_last_good_revision(config, tmp_path):
    file = config("port = 4711")
    connection = open_writer(tmp_path / "state" / "gateway.db", STEPS).connection
    row = (1.0, "start", "hash", "[]", file.read_text())
    connection.execute(
        "INSERT INTO config_revisions (at, who, hash, changed, text) VALUES (?, ?, ?, ?, ?)", row
    )
    connection.close()
    file.write_text("broken")
    environ = {"GATEWAY_STATE": str(tmp_path / "state")}
    assert resolve(Where(config=file), environ) == Target("ws://127.0.0.1:4711", TOKEN)
    with pytest.raises(InvalidFileError, match="not valid"):
        resolve(Where(config=file), {"GATEWAY_STATE": str(tmp_path / "other")})


def test_a_secret_that_only_the_gateway_can_resolve_is_not_used(config, tmp_path):
    environ = {"GATEWAY_STATE": str(tmp_path)}
    auth = '[auth]\npassword = "${P}"\n[auth.tokens.a]\ntoken = "${GONE}"\n'
    more = f'[auth.tokens.b]\ntoken = "{TOKEN}"\nscopes = ["read"]\n'
    assert resolve(Where(config=config(auth=auth + more)), environ).token == TOKEN
    target = resolve(Where(config=config(auth=auth)), environ)
    assert (target.token, target.password) == (None, None)
    assert resolve(Where(config=config(auth=auth)), environ | {"P": "long enough", "GONE": TOKEN})


@pytest.mark.parametrize(
    ("listening", "url"),
    [
        ("127.0.0.1:5000\n[::1]:5000\n", "ws://127.0.0.1:5000"),
        ("100.64.0.9:5000\n", "ws://100.64.0.9:5000"),
        ("192.168.0.7:5000\n127.0.0.1:5000\n", "ws://127.0.0.1:5000"),
        ("0.0.0.0:5000\n", "ws://127.0.0.1:5000"),
        ("[::]:5000\n", "ws://127.0.0.1:5000"),
        ("", "ws://127.0.0.1:4711"),
    ],
)
def test_a_gateway_that_runs_says_where_it_listens(config, tmp_path, listening, url):
    state = tmp_path / "state"
    state.mkdir()
    file = config("port = 4711")
    (state / "listening").write_text(f"{file}\n{listening}")
    environ = {"GATEWAY_STATE": str(state)}
    assert resolve(Where(config=file), environ).url == url


@pytest.mark.parametrize("listening", ["", "/etc/another.toml\n127.0.0.1:5000\n"])
def test_what_another_gateway_says_does_not_count(config, tmp_path, listening):
    (tmp_path / "listening").write_text(listening)
    environ = {"GATEWAY_STATE": str(tmp_path)}
    where = Where(config=config("port = 4711"))
    assert resolve(where, environ).url == "ws://127.0.0.1:4711"


def test_the_environment_wins_over_what_a_gateway_says(config, tmp_path):
    file = config()
    (tmp_path / "listening").write_text(f"{file}\n127.0.0.1:5000\n")
    environ = {"GATEWAY_STATE": str(tmp_path), "GATEWAY_PORT": "5001"}
    assert resolve(Where(config=file), environ).url == "ws://127.0.0.1:5001"
