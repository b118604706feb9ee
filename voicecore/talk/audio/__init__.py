"""Sound: devices, files, resampling, echo cancellation, jitter buffer."""
