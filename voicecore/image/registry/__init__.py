"""Container registries: references, credentials, manifests and the HTTP client."""
