"""The documents name files, settings and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
PLACE = re.compile(r"`((?:bot|worker|core|cli|devnet|tests|docs|benchmarks)/[\w./*-]+)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def seed_table() -> list[tuple[str, str]]:
    """Return the (name, place) rows of the table of systems."""
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("## Every system that was asked for")[2]
    return [
        tuple(row) for row in re.findall(r"^\| (.+?) \| `?([^`|]+?)`? \|$", text, re.M) if row[0] not in {"name", "---"}
    ]


def test_seed_table_is_complete_enough_to_be_read() -> None:
    assert len(seed_table()) >= 25


@pytest.mark.parametrize(("name", "place"), seed_table())
def test_each_seed_name_leads_to_a_file_or_says_later(name: str, place: str) -> None:
    assert place == "later" or (ROOT / place).is_file(), f"{name}: {place}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_places_named_in_documents_exist(document: Path) -> None:
    for place in PLACE.findall(document.read_text()):
        assert list(ROOT.glob(place.rstrip("/"))) or (ROOT / f"{place}.py").is_file(), f"{document.name}: {place}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_classes_named_in_the_seed_table_are_in_their_files() -> None:
    for name, place in seed_table():
        classes = [word for word in re.findall(r"\b[A-Z][a-z]+[A-Z]\w+\b", name) if place != "later"]
        text = (ROOT / place).read_text() if classes else ""
        for word in classes:
            assert word.removesuffix("Service") in text, f"{word} is not in {place}"
