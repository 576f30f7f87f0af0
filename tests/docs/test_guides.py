"""Guides on simulated customers, carried out."""

import pytest

from documents import run_guide


@pytest.mark.parametrize(
    ("guide", "least"),
    [
        ("looking-at-journeys.md", 10),
        ("questions.md", 9),
        ("later-stages.md", 8),
        ("adjusted-credit.md", 8),
        ("next-action.md", 7),
        ("generated-journeys.md", 6),
    ],
)
def test_the_guide_shows_what_really_comes_out(guide, least, root, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    overwrite = request.config.getoption("--overwrite-goldens")
    blocks = run_guide(root / "docs" / guide, overwrite=overwrite)
    assert len(blocks) >= least
    if overwrite:
        pytest.skip("written anew")
    for command, shown, printed in blocks:
        assert shown == printed, command
