"""docs/laws.md is what tests/method_table.py says; ``pytest tests/docs --overwrite-goldens`` writes it anew."""

from __future__ import annotations

import ast

import pytest

from method_table import ALL_LAWS, LAWS, VARIANTS, Law, Variant

INTRODUCTION = """\
# The laws that each method keeps

<!-- written by: pytest tests/docs --overwrite-goldens (from tests/method_table.py) -->

A law is something that you may rely on whatever the data: "credit adds up to the conversions", "a channel on no
converting journey gets nothing" (exactly: [semantics](semantics.md), section 8). The tests try every ✓ on drawn data:
few customers, many ties, refunds, odd names, any window and stage model. Every ✗ leads to a small example with its
numbers, which is a test too.

No method keeps all laws, and that is no fault. Methods answer different questions, and an answer has its price: what
learns from journeys that did not convert looks at all customers at once, so the credit of two regions does not add up
to that of both; what never goes below nothing cannot say that journeys with a channel convert worse than those without.
Take the method for [its question](methods.md), and look here for what you may do with the answer: add up regions,
rename channels, drop one that never converts.
"""
METHODS_OF_A_CHAIN = "Of the methods that fit a chain. A – stands where a method has no removal effects.\n"


@pytest.fixture(scope="module")
def counter_examples(root) -> dict[str, str]:
    """Counter-examples in the order of their file: name of the test, and its docstring."""
    module = ast.parse((root / "tests" / "property" / "test_counter_examples.py").read_text("utf-8"))
    return {
        node.name: " ".join((ast.get_docstring(node) or "").split())
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_counter_example_tells_its_story(counter_examples):
    assert [name for name, story in counter_examples.items() if len(story) < 80] == []


def test_the_page_is_that_of_the_table(root, counter_examples, request):
    file = root / "docs" / "laws.md"
    wanted = page(counter_examples)
    if request.config.getoption("--overwrite-goldens"):
        file.write_text(wanted, "utf-8")
    assert file.read_text("utf-8") == wanted, "write it anew: pytest tests/docs --overwrite-goldens"


def page(stories: dict[str, str]) -> str:
    """The whole page."""
    number = {test: at for at, test in enumerate(stories, start=1)}
    parts = [INTRODUCTION]
    for heading, laws in LAWS.items():
        rows = [row for row in VARIANTS.values() if any(row.says(law.name) != "–" for law in laws)]
        parts += [
            f"## {heading}\n",
            METHODS_OF_A_CHAIN if len(rows) < len(VARIANTS) else None,
            table(rows, laws, number),
        ]
        parts.append("".join(sentence(law, number) for law in laws))
    parts.append("## Where they are broken\n")
    parts += [counter_example(test, story, number) for test, story in stories.items()]
    return "\n".join(part for part in parts if part is not None)


def title(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ").capitalize()


def link(test: str, number: dict[str, int], text: str) -> str:
    return f"[{text} {number[test]}](#{number[test]}-{title(test).lower().replace(' ', '-')})"


def table(rows: list[Variant], laws: tuple[Law, ...], number: dict[str, int]) -> str:
    def cell(row: Variant, law: Law) -> str:
        says = row.says(law.name)
        return {"yes": "✓", "–": "–"}.get(says) or link(says.removeprefix("no: "), number, "✗")

    lines = [["method", *(law.title for law in laws)], ["---", *[":-:"] * len(laws)]]
    lines += [[row.shown, *(cell(row, law) for law in laws)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def sentence(law: Law, number: dict[str, int]) -> str:
    needed = ", ".join(link(test, number, "example") for test in law.provisos)
    return (
        f"- **{law.title}**: {law.text}" + (f" Without the condition it is broken: {needed}." if needed else "") + "\n"
    )


def counter_example(test: str, story: str, number: dict[str, int]) -> str:
    broken = {
        law.title: [row.shown for row in VARIANTS.values() if row.breaks.get(law.name) == test] for law in ALL_LAWS
    }
    broken |= {law.title: ["needs its condition"] for law in ALL_LAWS if test in law.provisos}
    by_methods: dict[str, list[str]] = {}
    for law, methods in broken.items():
        if methods:
            by_methods.setdefault("; ".join(methods), []).append(f"*{law}*")
    breaks = "".join(f"- {', '.join(laws)}: {methods}\n" for methods, laws in by_methods.items())
    return f"### {number[test]}. {title(test)}\n\n{story}\n\n{breaks}"
