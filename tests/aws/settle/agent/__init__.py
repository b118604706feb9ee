"""The agent that the probes deploy: app.py alone goes into its image."""
