"""Runs one part of PARTS, or all of them: python -m tests.soak [PART] [count]."""

import importlib
import sys

PARTS = ("tiles", "flips", "scenes", "kills", "scaling", "thousand", "containers", "environment")


def main() -> None:
    chosen, count = sys.argv[1:2], [int(word) for word in sys.argv[2:3]]
    for part in chosen or PARTS:
        if part not in PARTS:
            sys.exit(f"tests.soak knows {', '.join(PARTS)}, not {part!r}")
        module = importlib.import_module(f"tests.soak.{part}")
        print(f"{part}: {module.run(*count)}", flush=True)


if __name__ == "__main__":
    main()
