"""``python -m gateway``: arguments in, exit code out."""

import sys

from gateway.cli.main import main as run_command


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
