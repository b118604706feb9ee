"""What goes into an image: Dockerfile, base image, lockfile, fingerprint, secret scan."""
