"""The three builders: buildx (Docker), direct (no Docker) and CodeBuild (in AWS)."""
