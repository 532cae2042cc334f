"""The page about the configuration."""

from gateway.config.reference import TARGET, main, reference
from gateway.config.tree import leaves


def test_the_page_is_up_to_date():
    assert TARGET.read_text() == reference(), "run: python -m gateway.config.reference"


def test_every_setting_is_on_it():
    for leaf in leaves():
        assert f"\n| `{leaf.pattern[-1]}`" in reference()
        assert leaf.field.metadata["doc"] in reference()


def test_it_is_written_where_the_site_expects_it(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.config.reference.TARGET", tmp_path / "page.md")
    main()
    assert (tmp_path / "page.md").read_text() == reference()
