/** Recent loudness of both sides for the waveform, in columns, latest last. */

/** Blocks of 32 ms per column. */
const BLOCKS = 2;
/** Columns kept: 15 s, wider than any screen. */
const KEPT = 240;
/** Range of speech levels, in dB of full scale. */
const FLOOR_DB = -50;
const CEILING_DB = -6;

/** Loudness of both sides, from 0 to 1. */
export interface Column {
  user: number;
  agent: number;
}

export class Levels {
  columns: Column[] = [];
  /** Time of the last complete column, in ms of performance.now(). */
  at = 0;
  #user = 0;
  #agent = 0;
  #blocks = 0;

  static readonly COLUMN_MS = BLOCKS * 32;

  clear(): void {
    this.columns = [];
    this.#user = this.#agent = this.#blocks = 0;
  }

  /** Add a block of the user's; `level` is its root mean square, of 32768. */
  addUser(level: number): void {
    this.#user = Math.max(this.#user, loudness(level));
  }

  /** Add a block of the agent's. Its blocks come every 32 ms and complete the columns. */
  addAgent(level: number): void {
    this.#agent = Math.max(this.#agent, loudness(level));
    if (++this.#blocks < BLOCKS) return;
    this.columns.push({ user: this.#user, agent: this.#agent });
    if (this.columns.length > KEPT) this.columns.shift();
    this.#user = this.#agent = this.#blocks = 0;
    this.at = performance.now();
  }
}

/** Convert a level to loudness, from 0 to 1. */
function loudness(level: number): number {
  const db = 20 * Math.log10(Math.max(level, 1) / 32768);
  return Math.max(0, Math.min(1, (db - FLOOR_DB) / (CEILING_DB - FLOOR_DB))) ** 1.5;
}
