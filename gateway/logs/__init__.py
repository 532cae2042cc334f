"""What the gateway writes down: redacted, bounded, and never in the way.

An entry comes from structlog or from stdlib logging, is cleaned once (`clean`), and goes
to the console, to a file and to the ring that ``logs.tail`` reads.  Console and file are
written by a thread: a full disk or a terminal that was stopped delays nobody.
"""

from gateway.logs.clean import clean
from gateway.logs.configure import Logs, Settings, configure
from gateway.logs.redaction import Redactor, redactor
from gateway.logs.tail import Tail, tail

__all__ = ["Logs", "Redactor", "Settings", "Tail", "clean", "configure", "redactor", "tail"]
