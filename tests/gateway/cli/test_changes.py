"""What has changed, in as many lines as people read."""

from gateway.cli.changes import MOST, folded


def test_a_few_settings_are_named():
    paths = ["agents.main.model", "agents.main.provider", "logging.level"]
    assert list(folded(paths)) == paths


def test_a_table_that_is_new_is_one_line_and_what_stands_beside_it_another():
    def table(name):
        return [f"{name}.key{number}" for number in range(MOST + 1)]

    paths = ["agents.ann.model", *table("agents.bob"), *table("channels.irc.home"), "logging.level"]
    assert list(folded(paths)) == [
        "agents.ann.model",
        f"agents.bob ({MOST + 1} settings)",
        f"channels.irc.home ({MOST + 1} settings)",
        "logging.level",
    ]
