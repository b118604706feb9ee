/** Hears what flows into it and tells, block by block, as the agent wants speech. */

import { BLOCK, SPEECH_RATE } from "./block";
import { Resampler } from "./resampler";

class Ear extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, SPEECH_RATE);
  #block = new Int16Array(BLOCK);
  #filled = 0;

  override process([input]: Float32Array[][]): boolean {
    // Nothing flows in while nothing is connected; time goes on all the same.
    const heard = this.#resampler.feed(mono(input ?? []));
    for (const sample of heard) {
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

/** The samples of one quantum, 128 by the standard. */
function mono(channels: Float32Array[]): Float32Array {
  const [first, ...others] = channels;
  if (!first) return new Float32Array(128);
  return first.map(
    (sample, index) =>
      others.reduce((sum, other) => sum + (other[index] ?? 0), sample) / channels.length,
  );
}

registerProcessor("ear", Ear);
