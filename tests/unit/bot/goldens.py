"""Write the golden files anew: `python -m tests.unit.bot.goldens`. Read the difference before you keep it."""

from __future__ import annotations

from pathlib import Path

from tests.unit.bot.samples import samples

FOLDER = Path(__file__).parents[2] / "golden" / "replies"


def main() -> None:
    """Write one file for each message, and remove those that no message has."""
    found = samples()
    for old in FOLDER.glob("*.html"):
        if old.stem not in found:
            old.unlink()
    for name, html in found.items():
        (FOLDER / f"{name}.html").write_text(html + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
