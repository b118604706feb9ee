/** Plays the agent's audio through a jitter buffer that can be cleared at once. */

import { Resampler } from "./resampler";

/** Seconds buffered before an utterance starts: Pipecat sends 40 ms at a time, some of it late. */
const CUSHION = 0.06;
/** Seconds after which an utterance starts with less. */
const MAX_WAIT = 0.06;

export type PlaybackMessage = { rate: number; pcm: Int16Array } | "clear";

class Playback extends AudioWorkletProcessor {
  #rate = 0;
  #resampler = new Resampler(sampleRate, sampleRate);
  #queue: Float32Array[] = [];
  #offset = 0;
  #buffered = 0;
  #firstArrival: number | undefined;
  #playing = false;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<PlaybackMessage>) => {
      if (data === "clear") this.#clear();
      else this.#add(data.rate, data.pcm);
    };
  }

  override process(_: Float32Array[][], [output]: Float32Array[][]): boolean {
    const channel = output?.[0];
    if (!channel || !this.#ready()) return true;
    let filled = 0;
    while (filled < channel.length) {
      const samples = this.#queue[0];
      if (!samples) break;
      const part = samples.subarray(this.#offset, this.#offset + channel.length - filled);
      channel.set(part, filled);
      filled += part.length;
      this.#offset += part.length;
      if (this.#offset === samples.length) {
        this.#queue.shift();
        this.#offset = 0;
      }
    }
    this.#buffered -= filled;
    if (filled < channel.length) this.#clear();
    return true;
  }

  #add(rate: number, pcm: Int16Array): void {
    if (rate !== this.#rate) {
      this.#rate = rate;
      this.#resampler = new Resampler(rate, sampleRate);
    }
    const samples = this.#resampler.feed(Float32Array.from(pcm, (sample) => sample / 32768));
    if (samples.length === 0) return;
    this.#queue.push(samples);
    this.#buffered += samples.length;
    this.#firstArrival ??= currentTime;
  }

  #ready(): boolean {
    const enough = this.#buffered > CUSHION * sampleRate;
    const late = this.#firstArrival !== undefined && currentTime - this.#firstArrival > MAX_WAIT;
    this.#playing ||= enough || late;
    return this.#playing;
  }

  #clear(): void {
    this.#queue = [];
    this.#offset = this.#buffered = 0;
    this.#firstArrival = undefined;
    this.#playing = false;
  }
}

registerProcessor("playback", Playback);
