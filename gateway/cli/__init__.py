"""The command line: ``python -m gateway COMMAND``, or ``gateway COMMAND``.

Every command is one thin module, imported only when it is used, so that starting the
gateway does not pay for what is needed to look at it.
"""
