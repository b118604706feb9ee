"""Inputs of an image: Dockerfile, base image, lockfile, fingerprint, secret scan and SBOM."""
