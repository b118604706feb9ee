"""The test telephone: provider webhooks, media frames and call control."""
