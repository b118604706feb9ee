"""The verbs: each validates, asks for what is missing, does, and says what to type next."""
