/** Finds where speech starts and ends, by level alone, as `voicecore talk` does. */

import { type Block, rms, SPEECH_RATE } from "./block";

/** Level of silence: -50 dB of full scale. Dither and comfort noise are below it. */
const SILENCE = 100;

const STEP = SPEECH_RATE / 200;
const WINDOW = (SPEECH_RATE / 1000) * 16;

/** Return the start of the first 5 ms that are not silent; undefined if the block is silent. */
export function firstSound({ pcm, end }: Block): number | undefined {
  for (let start = 0; start < pcm.length; start += STEP) {
    if (rms(pcm.subarray(start, start + STEP)) > SILENCE) {
      return end - (pcm.length - start) / SPEECH_RATE;
    }
  }
  return undefined;
}

/**
 * Detects voice on a live microphone: levels of four times (12 dB) the noise floor. The floor drops
 * at once to the quietest moment and rises by 1 dB/s, so that a fan that is switched on counts as
 * speech for a few seconds only.
 */
export class VoiceDetector {
  #floor = 300;

  /** Return the end of the last voice in this block; undefined if there is none. */
  lastVoice({ pcm, end }: Block): number | undefined {
    let last: number | undefined;
    for (let start = 0; start < pcm.length; start += WINDOW) {
      const level = rms(pcm.subarray(start, start + WINDOW));
      const risen = this.#floor * 10 ** (WINDOW / SPEECH_RATE / 20);
      this.#floor = Math.max(10, Math.min(level, risen));
      if (level > Math.max(SILENCE, this.#floor * 4)) {
        last = end - (pcm.length - start - WINDOW) / SPEECH_RATE;
      }
    }
    return last;
  }
}
