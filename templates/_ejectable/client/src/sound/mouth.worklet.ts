/** Speaks what it is given: a jitter buffer that can be emptied at once. */

import { Resampler } from "./resampler";

/** Seconds gathered before an utterance starts: Pipecat sends 40 ms at a time, and some come late. */
const CUSHION = 0.06;
/** Seconds after which an utterance starts with less. */
const PATIENCE = 0.06;

export type Order = { rate: number; pcm: Int16Array } | "flush";

class Mouth extends AudioWorkletProcessor {
  #rate = 0;
  #resampler = new Resampler(sampleRate, sampleRate);
  #queue: Float32Array[] = [];
  #offset = 0;
  #waiting = 0;
  #since: number | undefined;
  #speaking = false;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<Order>) => {
      if (data === "flush") this.#flush();
      else this.#add(data.rate, data.pcm);
    };
  }

  override process(_: Float32Array[][], [output]: Float32Array[][]): boolean {
    const channel = output?.[0];
    if (!channel || !this.#ready()) return true;
    let filled = 0;
    while (filled < channel.length) {
      const sound = this.#queue[0];
      if (!sound) break;
      const part = sound.subarray(this.#offset, this.#offset + channel.length - filled);
      channel.set(part, filled);
      filled += part.length;
      this.#offset += part.length;
      if (this.#offset === sound.length) {
        this.#queue.shift();
        this.#offset = 0;
      }
    }
    this.#waiting -= filled;
    if (filled < channel.length) this.#flush();
    return true;
  }

  #add(rate: number, pcm: Int16Array): void {
    if (rate !== this.#rate) {
      this.#rate = rate;
      this.#resampler = new Resampler(rate, sampleRate);
    }
    const sound = this.#resampler.feed(Float32Array.from(pcm, (sample) => sample / 32768));
    if (sound.length === 0) return;
    this.#queue.push(sound);
    this.#waiting += sound.length;
    this.#since ??= currentTime;
  }

  #ready(): boolean {
    const enough = this.#waiting > CUSHION * sampleRate;
    const patient = this.#since !== undefined && currentTime - this.#since > PATIENCE;
    this.#speaking ||= enough || patient;
    return this.#speaking;
  }

  #flush(): void {
    this.#queue = [];
    this.#offset = this.#waiting = 0;
    this.#since = undefined;
    this.#speaking = false;
  }
}

registerProcessor("mouth", Mouth);
