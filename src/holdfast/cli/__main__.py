"""``python -m holdfast.cli`` is the ``holdfast`` command."""

from holdfast.cli.parser import main

main()
