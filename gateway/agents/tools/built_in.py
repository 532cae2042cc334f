"""The toolbox of a gateway: the tools that it has itself, by the parts that are there."""

from gateway.agents.catalog import Catalog
from gateway.agents.tools.conversations import conversation_tools
from gateway.agents.tools.toolbox import Toolbox
from gateway.agents.tools.web import web_tools
from gateway.bus import Bus
from gateway.storage.store import Store
from gateway.web.guard import Guard


def make_toolbox(bus: Bus, catalog: Catalog, database: Store) -> Toolbox:
    """Return a toolbox with the tools that need nothing else; agents of *catalog* use it."""
    toolbox = Toolbox(bus, policy_of=catalog.policy)
    toolbox.registry.add(conversation_tools(database).all)
    toolbox.registry.add(web_tools(Guard()).all)
    return toolbox
