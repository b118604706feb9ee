"""`voicecore traces`: what each call consisted of, here and in AWS."""
