"""`python -m spice` is the `spice` command."""

from spice.cli import main

if __name__ == "__main__":
    main()
