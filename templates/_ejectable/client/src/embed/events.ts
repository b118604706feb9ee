/** Sends the events of a call to the page: voice-connected, voice-transcript, … */

import type { Call } from "../call";
import type { Problem } from "../problem";

export class Events {
  #connected = false;
  #lines = 0;
  #problem: Problem | undefined;

  constructor(readonly element: HTMLElement) {}

  /** Send what is new since the last report. */
  report(call: Call): void {
    if (call.phase === "live" && !this.#connected) {
      this.#connected = true;
      this.#send("connected");
    }
    const { lines } = call.conversation;
    for (const { who, text } of lines.slice(this.#lines)) {
      if (who !== "note") this.#send("transcript", { who: who === "you" ? "user" : who, text });
    }
    this.#lines = lines.length;
    if (call.problem !== this.#problem) this.failed(call.problem);
    if (this.#connected && !call.active) {
      this.#connected = false;
      this.#send("ended", { seconds: Math.round(call.durationMs / 1000) });
    }
  }

  failed(problem: Problem | undefined): void {
    this.#problem = problem;
    if (!problem) return;
    const { code, title, advice } = problem;
    this.#send("error", { code, title, advice });
  }

  #send(name: string, detail?: object): void {
    this.element.dispatchEvent(new CustomEvent(`voice-${name}`, { bubbles: true, detail }));
  }
}
