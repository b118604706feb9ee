"""Generated agents whose models are AWS's speak here, unmodified, with the model stand-ins."""
