"""docs/benchmarks.md says what the CSV files say. No test looks at the times themselves."""

import pytest
from benchmarks.page import PAGE, lost, page


def test_the_page_is_written_from_the_results(request):
    if request.config.getoption("--overwrite-goldens"):
        PAGE.write_text(page(), encoding="utf-8")
        pytest.skip("written anew")
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m benchmarks.page writes it anew"


def run(package, cpu, peak, answers="agrees"):
    row = {"task": "path table", "journeys": "10", "method": "markov", "package": package, "answers": answers}
    return row | {"cpu_s": cpu, "wall_s": "1.0", "peak_gb": peak}


def test_runs_that_are_lost_are_named_with_what_is_lost():
    text = lost([run("attrib", "1.0", "0.2"), run("faster", "0.5", "0.3", "differs: x"), run("slower", "1.5", "0.2")])
    assert "**faster** takes less CPU (0.5 against 1.0 s); differs: x." in text
    assert "slower" not in text
    assert "No run" in lost([run("attrib", "1.0", "0.2"), run("slower", "1.5", "0.2")])
