/** A block of audio: the unit in which speech is sent, measured and shown. */

/** Sample rate of a block, in Hz; agents listen at this rate. */
export const SPEECH_RATE = 16_000;
/** Samples of a block: 32 ms, so that the agent notices the end of speech that soon. */
export const BLOCK = 512;

export interface Block {
  /** Mono 16-bit PCM at SPEECH_RATE. */
  pcm: Int16Array;
  /** Time of the last sample, in seconds of the audio context. */
  end: number;
}

/** Return the root mean square of the samples, of 32768. */
export function rms(samples: Int16Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.sqrt(sum / Math.max(1, samples.length));
}
