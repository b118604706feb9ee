/** Where speech begins and ends in a sound: by its level alone, as `voicecore talk` measures it. */

import { type Block, rms, SPEECH_RATE } from "./block";

/** Level below which nothing is heard: -50 dB of full scale. Dither and comfort noise lie below. */
const SILENCE = 100;

const STEP = SPEECH_RATE / 200;
const WINDOW = (SPEECH_RATE / 1000) * 16;

/** When the first 5 ms of a block that can be heard begin; undefined in silence. */
export function firstSound({ pcm, end }: Block): number | undefined {
  for (let start = 0; start < pcm.length; start += STEP) {
    if (rms(pcm.subarray(start, start + STEP)) > SILENCE) {
      return end - (pcm.length - start) / SPEECH_RATE;
    }
  }
  return undefined;
}

/**
 * Follows a live microphone. The noise floor falls at once to the quietest moment and rises by
 * 1 dB/s, so that a fan that is switched on is speech for some seconds only; speech is what exceeds
 * it four times (12 dB).
 */
export class VoiceTracker {
  #floor = 300;

  /** When voice was last sounding in this block; undefined without any. */
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
