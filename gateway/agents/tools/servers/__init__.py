"""Tools of other people: MCP servers, each a supervised child."""
