"""``python -m astroprep.cli``."""

from astroprep.cli.main import main

if __name__ == "__main__":
    main()
