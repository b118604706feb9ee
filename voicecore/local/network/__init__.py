"""Local networks for agents: NAT, namespaces, coturn, blocked UDP."""
