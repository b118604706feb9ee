/** How loud both sides were lately, for eyes: a ring of columns, the latest last. */

/** Blocks of 32 ms to a column. */
const BLOCKS = 2;
/** Columns kept: 15 s, more than any screen shows. */
const KEPT = 240;
/** Speech lies between these, in dB of full scale. */
const FLOOR_DB = -50;
const CEILING_DB = -6;

export interface Column {
  said: number;
  heard: number;
}

export class Levels {
  columns: Column[] = [];
  /** When the last column was complete, in ms of performance.now(). */
  at = 0;
  #said = 0;
  #heard = 0;
  #blocks = 0;

  static readonly COLUMN_MS = BLOCKS * 32;

  clear(): void {
    this.columns = [];
    this.#said = this.#heard = this.#blocks = 0;
  }

  /** The user's side of a block; `level` is its root mean square, of 32768. */
  said(level: number): void {
    this.#said = Math.max(this.#said, seen(level));
  }

  /** The agent's side of a block; it comes every 32 ms, and moves time on. */
  heard(level: number): void {
    this.#heard = Math.max(this.#heard, seen(level));
    if (++this.#blocks < BLOCKS) return;
    this.columns.push({ said: this.#said, heard: this.#heard });
    if (this.columns.length > KEPT) this.columns.shift();
    this.#said = this.#heard = this.#blocks = 0;
    this.at = performance.now();
  }
}

/** A level as a part of 1. */
function seen(level: number): number {
  const db = 20 * Math.log10(Math.max(level, 1) / 32768);
  return Math.max(0, Math.min(1, (db - FLOOR_DB) / (CEILING_DB - FLOOR_DB))) ** 1.5;
}
