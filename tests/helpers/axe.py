"""axe-core, the checker of accessibility, for tests in a browser: `make axe` fetches it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.helpers import ROOT
from tests.helpers.browser import Page

# Levels A and AA of WCAG 2.0, 2.1 and 2.2.
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa")


def find() -> Path | None:
    """Return the file of axe-core: $RENDER_AXE, or what `make axe` left."""
    path = Path(os.environ.get("RENDER_AXE") or ROOT / ".venv/axe/package/axe.min.js")
    return path if path.is_file() else None


def violations(page: Page, source: Path) -> list[str]:
    """Return what axe-core finds on a page as it stands: a line for each rule, with the elements that break it."""
    if not page.js("Boolean(globalThis.axe)"):
        page.js(source.read_text(encoding="utf-8") + "\n;0")
    rows: list[dict[str, Any]] = page.js(
        f"axe.run(document, {{ runOnly: {{ type: 'tag', values: {list(TAGS)} }}, resultTypes: ['violations'] }})"
        ".then(({ violations }) => violations.map(({ id, help, nodes }) => ({ id, help, at: nodes.map((n) => "
        "`${n.target.join(' ')} (${(n.any[0] ?? n.all[0] ?? n.none[0])?.message})`) })))"
    )
    return [f"{row['id']}: {row['help']}: {'; '.join(row['at'])}" for row in rows]
