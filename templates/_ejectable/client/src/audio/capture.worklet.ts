/** Converts the audio that flows in to blocks at the agent's sample rate. */

import { BLOCK, SPEECH_RATE } from "./block";
import { Resampler } from "./resampler";

class Capture extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, SPEECH_RATE);
  #block = new Int16Array(BLOCK);
  #filled = 0;

  override process([input]: Float32Array[][]): boolean {
    // A node without a source gets no channels; mono() turns that into silence.
    const samples = this.#resampler.feed(mono(input ?? []));
    for (const sample of samples) {
      this.#block[this.#filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.#filled === BLOCK) {
        this.port.postMessage({ pcm: this.#block, end: currentTime }, [this.#block.buffer]);
        this.#block = new Int16Array(BLOCK);
        this.#filled = 0;
      }
    }
    return true;
  }
}

/** Mix one render quantum, 128 samples by the standard, to mono. */
function mono(channels: Float32Array[]): Float32Array {
  const [first, ...others] = channels;
  if (!first) return new Float32Array(128);
  return first.map(
    (sample, index) =>
      others.reduce((sum, other) => sum + (other[index] ?? 0), sample) / channels.length,
  );
}

registerProcessor("capture", Capture);
