"""Container registries: image references, logins, manifests and the HTTP client."""
