/** What the user said and the agent has not finished hearing: kept to be said again, on the next
 * connection. Its rules are those of `voicecore talk`. */

import { BLOCK, SPEECH_RATE } from "./block";

const BLOCK_MS = (1000 * BLOCK) / SPEECH_RATE;
/** The longest memory, in blocks; of a turn that is longer the beginning is lost. */
const LIMIT = 30_000 / BLOCK_MS;
/** Blocks of silence that end an utterance, as they do for the agent. */
const PAUSE = Math.floor(200 / BLOCK_MS);
/** Blocks of silence kept before an utterance: an agent needs some to hear it begin. */
const LEAD = Math.floor(300 / BLOCK_MS);

export class Ring {
  #blocks: { pcm: Int16Array; voiced: boolean }[] = [];
  /** How many of the blocks this connection has carried, and how many hold voice. */
  #sent = 0;
  #voiced = 0;

  /** Keeps a block that was just said. */
  add(pcm: Int16Array, voiced: boolean): void {
    this.#blocks.push({ pcm, voiced });
    this.#voiced += Number(voiced);
    const silence = this.#voiced === 0 && this.#sent > LEAD;
    if (silence || this.#blocks.length > LIMIT) this.#forget(1);
  }

  /** Up to `limit` blocks that this connection has not carried; they count as sent. */
  take(limit: number): Int16Array[] {
    const taken = this.#blocks.slice(this.#sent, this.#sent + limit);
    this.#sent += taken.length;
    return taken.map((block) => block.pcm);
  }

  /** A new connection begins: all that is kept is to be sent on it. */
  rewind(): void {
    this.#sent = 0;
  }

  /**
   * The agent holds the user's turn: it is forgotten, but not what was said after it. The word of
   * that comes late, when the user may be speaking again: what a pause separates from the turn
   * stays, and so does what was not sent yet.
   */
  turnFinished(): void {
    this.#forget(Math.min(this.#endOfTurn(), this.#sent));
  }

  #endOfTurn(): number {
    let phrase = this.#blocks.length;
    let pause = 0;
    for (let index = phrase - 1; index >= 0; index -= 1) {
      if (!this.#blocks[index]?.voiced) pause += 1;
      else if (pause >= PAUSE) return Math.max(index + 1, phrase - LEAD);
      else [phrase, pause] = [index, 0];
    }
    return this.#blocks.length; // one phrase only: it is the turn
  }

  #forget(count: number): void {
    const gone = this.#blocks.splice(0, count);
    this.#voiced -= gone.filter((block) => block.voiced).length;
    this.#sent = Math.max(0, this.#sent - gone.length);
  }
}
