"""Edits as an operator sees them: where a line goes, and what is refused."""

import pytest

from gateway.config.edit import DELETE, MOST_CHANGES, EditError, patch, path_of, set_value, unset
from gateway.config.first import text as first_text
from gateway.config.load import load
from gateway.config.secrets import _expand

FILE = """\
# mine

# The port.
[gateway]
# TCP port
#port = 18789
bind = "lan"  # for the phone

[auth]

# Made by the first start.
[auth.tokens.default]
token = "${TOKEN}"
#role = "control"

# Who answers.
[agents.main]
provider = "echo"
"""


def added(new, old=FILE):
    """Return the lines of *new* that are not in *old*, which must all be there."""
    rest = iter(new.splitlines())
    extra = []
    for line in old.splitlines():
        while (each := next(rest)) != line:
            extra.append(each)
    return [*extra, *rest]


def refusal(edit, *args, **options):
    with pytest.raises(EditError) as caught:
        edit(*args, **options)
    assert caught.value.kind == "invalid-params"
    return str(caught.value)


def test_a_value_is_replaced_where_it_stands_and_its_comment_stays():
    new = set_value(FILE, ("gateway", "bind"), "loopback")
    assert new == FILE.replace('"lan"  #', '"loopback"  #')


def test_a_value_that_is_there_already_changes_nothing():
    assert set_value(FILE, ("gateway", "bind"), "lan") == FILE
    assert set_value(FILE, ("agents",), {"main": {"provider": "echo"}}) == FILE


def test_one_and_true_are_different_values():
    assert set_value("a = 1\n", ("a",), value=True) == "a = true\n"
    assert set_value("a = 1\n", ("a",), 1.0) == "a = 1.0\n"


def test_a_setting_goes_below_its_commented_default():
    new = set_value(FILE, ("gateway", "port"), 1)
    assert "#port = 18789\nport = 1\nbind" in new
    assert added(new) == ["port = 1"]


def test_a_setting_goes_below_the_others_of_its_table_and_not_below_the_next_comment():
    new = set_value(FILE, ("gateway", "hosts"), ["a", "b"])
    assert 'phone\nhosts = ["a", "b"]\n\n[auth]' in new


def test_an_entry_goes_below_the_others_of_its_kind():
    new = set_value(FILE, ("auth", "tokens", "phone", "role"), "node")
    assert '#role = "control"\n\n[auth.tokens.phone]\nrole = "node"\n\n# Who answers.\n' in new
    assert sorted(added(new)) == ["", "[auth.tokens.phone]", 'role = "node"']


def test_a_section_that_is_new_goes_to_the_end():
    new = set_value(FILE, ("providers", "x"), {"kind": "echo", "delay": 0.5})
    assert new == FILE + '\n[providers.x]\nkind = "echo"\ndelay = 0.5\n'


def test_a_top_level_setting_goes_above_the_first_table_and_its_comment():
    assert "# mine\n\nversion = 3\n\n# The port.\n" in set_value(FILE, ("version",), 3)


def test_what_was_put_in_and_taken_out_leaves_no_trace():
    for path in [("providers", "x", "kind"), ("auth", "tokens", "b", "role"), ("gateway", "port")]:
        new = set_value(FILE, path, "echo")
        top = path[:-1] if len(path) > 2 else path
        assert unset(new, top) == FILE


def test_a_table_is_taken_out_with_what_stands_in_it_and_the_rest_stays():
    new = unset(FILE, ("auth", "tokens", "default"))
    assert "TOKEN" not in new
    assert "#role" not in new
    assert "# Made by the first start.\n# Who answers.\n[agents.main]" in new.replace("\n\n", "\n")


def test_dotted_keys_inline_tables_and_quoted_names_are_edited_as_they_are_written():
    text = 'gateway.port = 1 # p\nauth = { tokens = { a = { role = "node" } } } # a\nx = 2\n'
    assert set_value(text, ("gateway", "bind"), "lan") == text.replace(
        "# p\n", '# p\ngateway.bind = "lan"\n'
    )
    assert set_value(text, ("auth", "tokens", "b c", "role"), "node") == text.replace(
        '" } }', '" }, "b c".role = "node" }'
    )
    assert unset(text, ("auth", "tokens", "a", "role")) == text.replace('{ role = "node" }', "{  }")


def test_a_list_is_replaced_as_a_whole():
    text = "[[x]]\na = 1\n[[x]]\n[y]\nz = [{ b = 1 }]\n"
    assert set_value(text, ("x",), [1]) == "x = [1]\n\n[y]\nz = [{ b = 1 }]\n"
    assert refusal(set_value, text, ("x", "a"), 2) == "1:1: x: is a list: replace it as a whole"
    assert unset(text, ("y", "z")) == "[[x]]\na = 1\n[[x]]\n[y]\n"


def test_lines_end_as_they_did():
    text = FILE.replace("\n", "\r\n")
    new = set_value(set_value(text, ("gateway", "port"), 1), ("providers", "x", "kind"), "echo")
    assert "\n" not in new.replace("\r\n", "")


def test_a_last_line_without_an_end_gets_one():
    assert set_value("[a]\nb = 1", ("a", "c"), 2) == "[a]\nb = 1\nc = 2\n"
    assert set_value("[a]\nb = 1", ("c", "d"), 2) == "[a]\nb = 1\n\n[c]\nd = 2\n"


def test_a_patch_sets_merges_and_deletes():
    change = {"gateway": {"port": 1, "bind": DELETE}, "agents": {"b": {}}, "health": DELETE}
    new = patch(FILE, change)
    assert "#port = 18789\nport = 1\n\n[auth]" in new
    assert new.endswith('provider = "echo"\n\n[agents.b]\n')


def test_what_is_not_there_can_be_deleted_by_a_patch_but_not_unset():
    assert patch(FILE, {"gateway": {"port": DELETE}}) == FILE
    assert refusal(unset, FILE, ("gateway", "port")) == "4:1: gateway.port: is not set in the file"


def test_a_reference_survives_every_other_edit():
    new = set_value(FILE, ("auth", "tokens", "default", "role"), "node")
    assert 'token = "${TOKEN}"' in new


def nested(path, value):
    for name in reversed(path):
        value = {name: value}
    return value


SECRETS = [("auth", "password"), ("auth", "tokens", "x", "token"), ("providers", "x", "api_key")]


@pytest.mark.parametrize("path", SECRETS)
@pytest.mark.parametrize("value", ["***", {"secret": "***", "from": "env"}, "Bearer ***"])
def test_a_redacted_secret_is_never_written_back(path, value):
    assert "leave it out to keep it" in refusal(set_value, FILE, path, value, references=True)
    assert "leave it out to keep it" in refusal(set_value, FILE, path[:1], nested(path[1:], value))


@pytest.mark.parametrize("path", SECRETS)
def test_only_the_operator_refers_to_variables_and_files(path):
    for reference in [{"env": "HOME"}, {"file": "/etc/shadow"}]:
        said = refusal(set_value, FILE, path, reference)
        assert "only the operator can refer" in said
        assert "only the operator" in refusal(patch, FILE, nested(path, reference))
        # Neither through the back door.
        ((kind, name),) = reference.items()
        assert "set the secret as a whole" in refusal(set_value, FILE, (*path, kind), name)
        new = set_value(FILE, path, reference, references=True)
        assert f'{path[-1]} = {{ {kind} = "{name}" }}' in new


@pytest.mark.parametrize("value", ["a${HOME}b", "$${HOME}", "${", "$$${x", "${}", "$"])
def test_a_secret_from_a_client_means_just_its_characters(value):
    new = set_value("", ("auth", "password"), value)
    assert load(new).config.auth.password.value == value
    assert _expand(value.replace("${", "$${"), None).reference is None


def test_a_secret_of_the_operator_is_written_as_it_was_given():
    new = set_value(FILE, ("auth", "password"), "${PW}", references=True)
    assert 'password = "${PW}"' in new


def test_what_is_no_secret_is_not_escaped():
    new = set_value(FILE, ("agents", "main", "system_prompt"), "say ${HOME}")
    assert load(new).config.agents["main"].system_prompt == "say ${HOME}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "TOML has no null; to remove a setting, unset it"),
        ({"a": None}, "TOML has no null; to remove a setting, unset it"),
        (DELETE, "a delete mark belongs into a patch; unset it instead"),
        (float("nan"), "must be a finite number"),
        (2**63, "must be an integer of at most 64 bits"),
        (10**500, "must be an integer of at most 64 bits"),
        ("\ud800", "has a character that no text has"),
        (b"x", "must be text, a number, true, false, a list or a table"),
        ({1: 2}, "a key must be text"),
        ({str(each): 1 for each in range(MOST_CHANGES + 1)}, None),
        (
            [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],
            "has more than 32 levels",
        ),
    ],
)
def test_what_toml_cannot_say_is_refused(value, expected):
    if expected is None:
        assert "at once" in refusal(patch, FILE, {"gateway": value})
    else:
        assert refusal(set_value, FILE, ("gateway", "x"), value).endswith(expected)


def test_a_text_that_is_no_toml_is_refused_with_the_place():
    assert refusal(set_value, "a = 1\nb = [", ("a",), 1) == "2:6: not valid TOML: Invalid value"


def test_a_large_file_takes_fewer_changes_at_once():
    text = "#" * 300_000
    assert patch(text, {"gateway": {"port": 1}}).endswith("[gateway]\nport = 1\n")
    many = {str(each): 1 for each in range(80)}
    assert "changes more than 55 settings" in refusal(patch, text, many)


def test_no_refusal_repeats_a_value():
    said = refusal(set_value, FILE, ("auth", "password"), {"env": "hunter2"})
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("gateway.port", ("gateway", "port")),
        ('agents."a.b".model', ("agents", "a.b", "model")),
        ("a . 'b c'", ("a", "b c")),
    ],
)
def test_a_path_is_written_as_in_toml(key, path):
    assert path_of(key) == path


@pytest.mark.parametrize("key", ["", "a.", "a = 1 #", "a=1\nb", "[a]\nb", "a b", "a=0#", '"'])
def test_what_is_no_key_is_refused(key):
    assert refusal(path_of, key)


def test_every_edit_of_the_first_configuration_loads():
    text = first_text("x" * 5 + "0123456789abcdefghij")
    for path, value in [
        (("gateway", "port"), 1),
        (("agents", "b"), {}),
        (("logging", "level"), "debug"),
    ]:
        new = set_value(text, path, value)
        assert load(new).valid
        assert added(new, text)
        assert unset(new, path) == text


def test_only_the_operator_can_have_files_included():
    patterns = ["agents/*.toml"]
    refused = "only the operator can have files included"
    assert refused in refusal(set_value, FILE, ("include",), patterns)
    assert refused in refusal(patch, FILE, {"include": patterns})
    assert refused in refusal(set_value, FILE, (), {"include": patterns})
    new = set_value(FILE, ("include",), patterns, references=True)
    assert added(new) == ['include = ["agents/*.toml"]', ""]
