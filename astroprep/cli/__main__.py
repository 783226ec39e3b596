"""``python -m astroprep.cli``."""

from astroprep.cli.main import main

main()
