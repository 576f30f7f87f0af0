"""README.md, carried out: what it shows is what comes out."""

from documents import run_guide


def test_the_readme_shows_what_really_comes_out(root, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    overwrite = request.config.getoption("--overwrite-goldens")
    blocks = run_guide(root / "README.md", overwrite=overwrite)
    assert len(blocks) == 2
    if not overwrite:
        for command, shown, printed in blocks:
            assert shown == printed, command
