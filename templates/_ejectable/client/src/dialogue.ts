/** The conversation as it unfolds: events in, transcript and latencies out. No clock, no effects.
 * Its rules are those of `voicecore talk`. Times are seconds of the sound's clock. */

/** The agent's sound after a silence this long is a new utterance. */
const PAUSE = 0.3;
/** An answer is over when nothing followed for so long: sentences may come one by one. */
const SETTLE = 0.8;

export interface Line {
  key: number;
  who: "you" | "agent" | "note";
  text: string;
  interrupted?: boolean;
  /** Number of the turn that it answers. */
  turn?: number | undefined;
}

/** A part of a turn's latency, in ms. */
export interface Part {
  name: string;
  ms: number;
}

/** How long the user waited for an answer: from their last sound to the agent's first, in ms. */
export interface Turn {
  ms: number;
  parts: Part[];
}

/** A sentence of the agent; `spoken` grows to `text` as it is heard, where that is known. */
export interface Says {
  text: string;
  segment?: number | undefined;
  spoken?: string | undefined;
}

/** What the agent measured of a turn. */
export interface Measured {
  ms: number;
  stages: { key: string; ms: number }[];
}

class Answer {
  sentences = new Map<string | number, Says>();
  interrupted = false;

  constructor(
    readonly key: number,
    public turn?: number,
  ) {}

  add(says: Says): void {
    this.sentences.set(says.segment ?? `sentence ${this.sentences.size}`, says);
  }

  /** What was said; of an interrupted answer as far as it was heard. */
  line(): Line {
    const said: string[] = [];
    for (const { text, spoken } of this.sentences.values()) {
      if (this.interrupted && spoken !== undefined && spoken !== text) {
        said.push(spoken || text);
        break;
      }
      said.push(text);
    }
    const { key, interrupted, turn } = this;
    return { key, who: "agent", text: said.join(" "), interrupted, turn };
  }
}

export class Dialogue {
  lines: Line[] = [];
  turns: Turn[] = [];
  connected = false;
  userSpeaking = false;
  botSpeaking = false;
  thinking = false;

  #key = 0;
  /** Final transcripts of the turn under way, and what may still change. */
  #heard: string[] = [];
  #interim = "";
  /** Whether the user has said something since the answer began. */
  #turnOpen = false;
  #answer = new Answer(this.#key++);
  /** An answer that a lost connection cut off. */
  #cut: Answer | undefined;
  /** End of the speech that waits for an answer, and whether the agent takes it for a turn. */
  #endedAt: number | undefined;
  #noticed = false;
  #soundedAt: number | undefined;
  #activeAt = 0;
  /** Arrived before the sound that it explains. */
  #early: Measured | undefined;

  /** `understood` is called when the agent has understood a turn of the user's. */
  constructor(readonly understood: () => void = () => {}) {}

  /** The wait for an answer, in ms, that half of the turns stayed below. */
  get median(): number | undefined {
    const sorted = this.turns.map((turn) => turn.ms).sort((one, other) => one - other);
    return sorted[Math.floor(sorted.length / 2)];
  }

  /** The utterances under way, in the order in which they will join `lines`. */
  get live(): Line[] {
    const shown = [this.#cut, this.#answer].flatMap((answer) => answer?.line() ?? []);
    const text = [...this.#heard, this.#interim].join(" ").trim();
    shown.splice(this.#turnOpen ? shown.length : 0, 0, { key: -1, who: "you", text });
    return shown.filter((line) => line.text);
  }

  // What the user does

  voiced(at: number): void {
    if (this.#endedAt === undefined) {
      this.#noticed = this.userSpeaking;
      this.#early = undefined;
    }
    this.#endedAt = at;
  }

  typed(text: string, at: number): void {
    this.#interrupt();
    this.#heard = [text];
    this.#turnOpen = true;
    this.#commitUser();
    this.#endedAt = at;
    this.#noticed = true;
    this.#early = undefined;
  }

  // What arrives

  ready(): void {
    this.connected = true;
  }

  /** What was not finished is said again on the next connection, by either side. */
  lost(): void {
    this.connected = this.userSpeaking = this.#turnOpen = false;
    this.#heard = [];
    this.#interim = "";
    if ((this.botSpeaking || this.thinking) && this.#answer.sentences.size > 0) {
      this.#cut = this.#answer;
      this.#answer = new Answer(this.#key++, this.#cut.turn);
    }
    this.botSpeaking = this.thinking = false;
  }

  interrupted(): void {
    this.#interrupt();
  }

  userStarted(at: number): void {
    this.#interrupt();
    this.userSpeaking = this.#turnOpen = this.#noticed = true;
    this.#activeAt = at;
  }

  userStopped(at: number): void {
    this.userSpeaking = false;
    this.#commitUser();
    this.#activeAt = at;
  }

  userSaid(text: string, final: boolean, at: number): void {
    this.#activeAt = at;
    this.#noticed = true;
    this.#interim = final ? "" : text;
    if (!final) return;
    this.#heard.push(text);
    if (this.#turnOpen || !(this.thinking || this.botSpeaking)) this.#turnOpen = true;
    // Some models transcribe after they have begun to answer: the words belong before it.
    else this.#sayUser();
  }

  botThinks(at: number): void {
    this.thinking = true;
    this.#beginAnswer();
    this.#activeAt = at;
  }

  botStarted(at: number): void {
    this.botSpeaking = true;
    this.thinking = false;
    this.#beginAnswer();
    this.#activeAt = at;
  }

  botStopped(at: number): void {
    this.botSpeaking = false;
    this.#activeAt = at;
  }

  botSays(says: Says, at: number): void {
    this.#cut = undefined; // the agent says it again, as it does after a lost connection
    this.#answer.add(says);
    this.#activeAt = at;
  }

  /**
   * The agent's sound began at `first`, if it can be heard, in a block that ended at `at`.
   * True where that changed something to be seen.
   */
  sounded(first: number | undefined, at: number): boolean {
    if (first === undefined) return false;
    const fresh = this.#soundedAt === undefined || at - this.#soundedAt > PAUSE;
    const changed = this.thinking;
    // What is still on its way when the user interrupts is no answer to that.
    const answers = fresh && this.#noticed && !this.userSpeaking;
    if (answers && this.#endedAt !== undefined) {
      this.#beginAnswer();
      const ms = 1000 * (first - this.#endedAt);
      this.turns.push({ ms, parts: this.#early ? partsOf(ms, this.#early) : [] });
      this.#answer.turn = this.turns.length;
      this.#endedAt = this.#early = undefined;
      this.#noticed = false;
    }
    this.thinking = false;
    this.#soundedAt = this.#activeAt = at;
    return changed || answers;
  }

  measured(measured: Measured): void {
    const last = this.turns.at(-1);
    if (this.#endedAt !== undefined && this.#noticed) this.#early = measured;
    else if (last && last.parts.length === 0) last.parts = partsOf(last.ms, measured);
  }

  note(text: string): void {
    this.lines.push({ key: this.#key++, who: "note", text });
  }

  /** Lets time pass: an answer that nothing followed is over. True where that changed something. */
  tick(at: number): boolean {
    const busy = this.userSpeaking || this.botSpeaking || this.thinking || !this.connected;
    if (busy || at - this.#activeAt <= SETTLE) return false;
    const before = this.lines.length;
    this.#finishAnswer();
    return this.lines.length !== before;
  }

  /** Nothing more will come: what is under way is said as far as it got. */
  end(): void {
    this.#commitUser();
    this.#finishCut();
    this.#finishAnswer();
    this.connected = this.userSpeaking = this.botSpeaking = this.thinking = false;
  }

  #commitUser(): void {
    if (this.#heard.length === 0) return;
    this.#finishCut();
    this.#finishAnswer();
    this.#sayUser();
  }

  #sayUser(): void {
    this.understood();
    this.lines.push({ key: this.#key++, who: "you", text: this.#heard.join(" ") });
    this.#heard = [];
    this.#interim = "";
  }

  #beginAnswer(): void {
    this.#commitUser();
    if (!this.#turnOpen) return;
    this.#finishAnswer();
    this.#turnOpen = false;
  }

  #finishAnswer(): void {
    const line = this.#answer.line();
    this.#answer = new Answer(this.#key++);
    // One that was interrupted in its first sentence may have no text; that it was is worth a line.
    if (line.text || line.interrupted) this.lines.push(line);
  }

  #finishCut(): void {
    if (!this.#cut) return;
    this.#cut.interrupted = true;
    this.lines.push(this.#cut.line());
    this.#cut = undefined;
  }

  #interrupt(): void {
    if (this.botSpeaking) this.#answer.interrupted = true;
    this.botSpeaking = this.thinking = false;
    this.#soundedAt = undefined; // what sounds next is a new utterance
  }
}

/** Stages of latency as a person names them, from the keys that Pipecat gives them. */
const NAMES: Record<string, string> = {
  endpointing_wait: "pause",
  transcription: "hearing",
  turn_detection: "turn",
  turn_completion: "turn",
  waiting_for_user: "turn",
  first_request: "thinking",
  llm_inference: "thinking",
  llm_tool_call: "thinking",
  awaiting_speakable_text: "thinking",
  function_handler: "tool",
  sentence_aggregation: "voice",
  speech_synthesis: "voice",
};
const AGENT = "agent";
const NETWORK = "network";

/** Where a turn's time went; the parts add up to `ms`. */
function partsOf(ms: number, measured: Measured): Part[] {
  const sums = new Map<string, number>();
  const add = (name: string, part: number) => sums.set(name, (sums.get(name) ?? 0) + part);
  for (const stage of measured.stages) add(NAMES[stage.key] ?? AGENT, stage.ms);
  add(AGENT, measured.ms - [...sums.values()].reduce((sum, part) => sum + part, 0));
  // What the user waited beyond what the agent measured: the network both ways, and buffers.
  add(NETWORK, ms - measured.ms);
  return [...sums].map(([name, part]) => ({ name, ms: part })).filter((part) => part.ms >= 0.5);
}
