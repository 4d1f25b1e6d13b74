"""`python -m labapp` is `lab`."""

from labapp.cli import main

main()
