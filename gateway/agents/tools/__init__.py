"""What agents can do beside talking: tools, who may use them, and who is asked first."""

import attrs


@attrs.frozen
class Use:
    """The circumstances of one use of a tool: on whose behalf it happens.

    *provenance* is where the run's question came from: ``owner``, ``user``, ``hook``,
    ``cron``...  Source: S71, only an owner's word moves privileged tools.
    """

    agent_id: str
    session_id: str
    run_id: str
    provenance: str

    @property
    def by_owner(self) -> bool:
        """Whether the owner has asked; whatever is not known to be the owner is not."""
        return self.provenance == "owner"
