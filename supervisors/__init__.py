"""Supervision trees for Trio.

A supervisor is an ordinary async function with a promise: each child is up, on its way
back up, or deliberately down, and `Supervisor.status` says which.  A child is an ordinary
async function ``run(life, *args)``, and *life* is all it knows of supervision.  Supervisors
nest, because `Supervisor.as_child` is a child like any other, and a change at run time is
one call, `Supervisor.reconcile`, because children compare by value.
"""

from supervisors._child import Backoff, Child, Restart, Strategy
from supervisors._lifetime import Lifetime
from supervisors._limit import RestartsExhausted
from supervisors._status import Event, State, Status
from supervisors._supervisor import Supervisor

__all__ = [
    "Backoff",
    "Child",
    "Event",
    "Lifetime",
    "Restart",
    "RestartsExhausted",
    "State",
    "Status",
    "Strategy",
    "Supervisor",
]
