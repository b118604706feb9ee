"""Audio of a call: devices, files, resampling, echo cancellation, buffers."""
