"""The page about the methods."""

from gateway.reference import TARGET, main, reference


def test_the_page_about_the_methods_is_up_to_date():
    assert TARGET.read_text() == reference(), "run: python -m gateway.reference"


def test_making_the_page_runs_no_gateway(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.reference.TARGET", tmp_path / "page.md")
    monkeypatch.chdir(tmp_path)
    main()
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]
