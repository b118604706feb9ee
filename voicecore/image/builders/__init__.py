"""Image builders: buildx, direct and CodeBuild."""
