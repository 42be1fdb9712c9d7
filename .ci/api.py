"""Write the page of the public names: what griffe2md makes of their docstrings, with links that lead somewhere.

    python .ci/api.py assets/docs/api.md

griffe2md links every name to an anchor of its full path, as mkdocs has them. Where Markdown is read as it is, headings
have anchors of another form, and names of other packages have none: links go to the headings, or become plain words.
"""

import re
import subprocess
import sys
from pathlib import Path


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and editors make it: lower case, without points and the like."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def linked(page: str) -> str:
    """Return a page of griffe2md whose links lead to its own headings."""
    headings = {heading.strip("`"): anchor(heading) for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}

    def link(found: re.Match[str]) -> str:
        words, name = found.groups()
        return f"[{words}](#{headings[name]})" if name in headings else words

    return re.sub(r"\[([^\[\]]*)\]\(#([^()\s]*)\)", link, page)


if __name__ == "__main__":
    command = [Path(sys.executable).with_name("griffe2md"), "render.api"]
    written = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    Path(sys.argv[1]).write_text(linked(written), encoding="utf-8")
