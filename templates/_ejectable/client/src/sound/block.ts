/** A block of sound: the unit in which speech is sent, measured and shown. */

/** Samples a second: what agents listen at. */
export const SPEECH_RATE = 16_000;
/** Samples of a block: 32 ms, so that the agent hears the end of speech as early. */
export const BLOCK = 512;

/** Mono 16-bit PCM at SPEECH_RATE, and when its last sample sounded, in seconds of the context. */
export interface Block {
  pcm: Int16Array;
  end: number;
}

/** The root mean square of samples, of 32768. */
export function rms(samples: Int16Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.sqrt(sum / Math.max(1, samples.length));
}
