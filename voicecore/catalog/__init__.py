"""The catalog: transports, phone providers, pipelines, TURN sources and regions to choose from."""
