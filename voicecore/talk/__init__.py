"""`voicecore talk`: a telephone in the terminal, on the same path as every deployed client."""
