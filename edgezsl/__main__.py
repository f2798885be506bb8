"""`python -m edgezsl` and the command `edgezsl`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit status."""
    from edgezsl.cli.app import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
