"""Local networks: NAT, namespaces, coturn, blocked UDP."""
