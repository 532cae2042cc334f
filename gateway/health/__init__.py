"""How the gateway is: the supervisor tree, folded.  Nothing here is ever assumed."""
