/** Keeps the user's speech until the agent has understood it, to send it again on the next
 * connection. `voicecore talk` follows the same rules. */

import { BLOCK, SPEECH_RATE } from "./block";

const BLOCK_MS = (1000 * BLOCK) / SPEECH_RATE;
/** Capacity, in blocks; a longer turn loses its beginning. */
const LIMIT = 30_000 / BLOCK_MS;
/** Blocks of silence that end an utterance, as they do for the agent. */
const PAUSE = Math.floor(200 / BLOCK_MS);
/** Blocks of silence kept before an utterance: the agent needs some to notice its start. */
const LEAD = Math.floor(300 / BLOCK_MS);

export class ReplayBuffer {
  #blocks: { pcm: Int16Array; voiced: boolean }[] = [];
  /** Number of blocks that this connection has sent. */
  #sent = 0;
  /** Number of blocks with voice. */
  #voiced = 0;

  /** Add a new block. */
  add(pcm: Int16Array, voiced: boolean): void {
    this.#blocks.push({ pcm, voiced });
    this.#voiced += Number(voiced);
    const silence = this.#voiced === 0 && this.#sent > LEAD;
    if (silence || this.#blocks.length > LIMIT) this.#drop(1);
  }

  /** Return up to `limit` blocks that this connection has not sent, and count them as sent. */
  take(limit: number): Int16Array[] {
    const taken = this.#blocks.slice(this.#sent, this.#sent + limit);
    this.#sent += taken.length;
    return taken.map((block) => block.pcm);
  }

  /** Start a new connection: send everything again. */
  rewind(): void {
    this.#sent = 0;
  }

  /**
   * Drop the turn that the agent has understood, but keep what followed it. This is called late,
   * when the user may be speaking again: speech after a pause stays, and so do unsent blocks.
   */
  turnFinished(): void {
    this.#drop(Math.min(this.#endOfTurn(), this.#sent));
  }

  #endOfTurn(): number {
    let phrase = this.#blocks.length;
    let pause = 0;
    for (let index = phrase - 1; index >= 0; index -= 1) {
      if (!this.#blocks[index]?.voiced) pause += 1;
      else if (pause >= PAUSE) return Math.max(index + 1, phrase - LEAD);
      else [phrase, pause] = [index, 0];
    }
    return this.#blocks.length; // the only phrase is the turn
  }

  #drop(count: number): void {
    const dropped = this.#blocks.splice(0, count);
    this.#voiced -= dropped.filter((block) => block.voiced).length;
    this.#sent = Math.max(0, this.#sent - dropped.length);
  }
}
