"""Small experiments in a temporary folder."""

import pytest

SMALL = """
question = "Which of two is closer?"
metrics = ["share_error", "stability"]
seeds = 3
figure = false

[worlds]
customers = 300
truth_customers = 300

[[models]]
method = "linear"

[[models]]
method = "markov"
order = 1
"""


@pytest.fixture
def place(tmp_path):
    """Return a writer of experiments, whose folder it returns."""

    def write(*changes, text=SMALL):
        folder = tmp_path / "question"
        folder.mkdir(exist_ok=True)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / "experiment.toml").write_text(text, "utf-8")
        return folder

    return write
