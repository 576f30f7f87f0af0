"""docs/questions.md, carried out."""

import pytest

from documents import run_guide


def test_the_guide_shows_what_really_comes_out(root, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    overwrite = request.config.getoption("--overwrite-goldens")
    blocks = run_guide(root / "docs" / "questions.md", overwrite=overwrite)
    assert len(blocks) >= 9
    if overwrite:
        pytest.skip("written anew")
    for command, shown, printed in blocks:
        assert shown == printed, command
