/** The conversation: turns events into a transcript and latencies, without clock or side effects.
 * `voicecore talk` follows the same rules. Times are in seconds of the audio context. */

/** Silence after which the agent's next sound is a new utterance. */
const PAUSE = 0.3;
/** Silence after which the user's next voice is a new phrase. */
const PHRASE_PAUSE = 0.2;
/** Silence that ends a phrase: two blocks. Until then, its voice goes on. */
const PHRASE_END = 0.064;
/** Silence after which an answer is complete: sentences may arrive one by one. */
const SETTLE = 0.8;

/** A blank after full-width punctuation (Chinese, Japanese), which includes one. */
const STRAY = /(?<=[\u3000-\u303f\uff01-\uff0f\uff1a-\uff20]) /g;

export interface Line {
  key: number;
  who: "you" | "agent" | "note";
  text: string;
  interrupted?: boolean;
  /** True for what only a developer wants to see. */
  detail?: boolean;
  /** Number of the turn that this line answers. */
  turn?: number | undefined;
}

/** One part of a turn's latency. */
export interface LatencyPart {
  name: string;
  ms: number;
}

/** Latency of one answer: from the user's last sound to the agent's first. */
export interface Turn {
  ms: number;
  parts: LatencyPart[];
}

/** A sentence of the agent. Where the agent reports progress, `spoken` grows to `text`. */
export interface Sentence {
  text: string;
  segment?: number | undefined;
  spoken?: string | undefined;
}

/** Latency of a turn as the agent measures it. */
export interface AgentLatency {
  ms: number;
  stages: { key: string; ms: number }[];
}

/** What the user said or typed, from its end on. */
interface Phrase {
  end: number;
  /** Time from which on it is over. */
  over: number;
}

class Answer {
  readonly key: number;
  turn: number | undefined;
  sentences = new Map<string | number, Sentence>();
  interrupted = false;

  constructor(key: number, turn?: number) {
    this.key = key;
    this.turn = turn;
  }

  add(sentence: Sentence): void {
    this.sentences.set(sentence.segment ?? `sentence ${this.sentences.size}`, sentence);
  }

  /** Return the answer's text; if it was interrupted, up to what the user heard. */
  line(): Line {
    const heard: string[] = [];
    for (const { text, spoken } of this.sentences.values()) {
      if (this.interrupted && spoken !== undefined && spoken !== text) {
        heard.push(spoken || text);
        break;
      }
      heard.push(text);
    }
    const { key, interrupted, turn } = this;
    return { key, who: "agent", text: joined(heard), interrupted, turn };
  }
}

export class Conversation {
  lines: Line[] = [];
  turns: Turn[] = [];
  connected = false;
  userSpeaking = false;
  botSpeaking = false;
  thinking = false;

  #key = 0;
  /** Final transcripts of the current turn, and the interim one. */
  #finals: string[] = [];
  #interim = "";
  /** True when the user has spoken since the answer began. */
  #turnOpen = false;
  #answer = new Answer(this.#key++);
  /** Answer that a lost connection cut off. */
  #cut: Answer | undefined;
  /** What the user said that has no answer yet. */
  #phrases: Phrase[] = [];
  /** True when the agent has noticed it. */
  #noticed = false;
  /** End of the phrase that the agent prepares an answer to. */
  #answering: number | undefined;
  #lastSound: number | undefined;
  #lastActivity = 0;
  /** Latency that arrived before the answer's first sound. */
  #earlyLatency: AgentLatency | undefined;

  readonly #onTurnUnderstood: () => void;

  /** `onTurnUnderstood` is called when the agent has understood a turn of the user. */
  constructor(onTurnUnderstood: () => void = () => {}) {
    this.#onTurnUnderstood = onTurnUnderstood;
  }

  /** Median latency of the turns, in ms. */
  get median(): number | undefined {
    const sorted = this.turns.map((turn) => turn.ms).sort((one, other) => one - other);
    return sorted[Math.floor(sorted.length / 2)];
  }

  /** Utterances that are not final, in the order in which they will join `lines`. */
  get pending(): Line[] {
    const shown = [this.#cut, this.#answer].flatMap((answer) => answer?.line() ?? []);
    const text = joined([...this.#finals, this.#interim]).trim();
    shown.splice(this.#turnOpen ? shown.length : 0, 0, { key: -1, who: "you", text });
    return shown.filter((line) => line.text);
  }

  // Input of the user

  /** The microphone picked up voice, which ended at `at`. */
  voiceEnded(at: number): void {
    if (this.#phrases.length === 0) {
      this.#noticed = this.userSpeaking;
      this.#earlyLatency = undefined;
    }
    const last = this.#phrases.at(-1);
    const goesOn = last && last.over > last.end && at - last.end <= PHRASE_PAUSE;
    if (goesOn) this.#phrases.pop();
    this.#phrases.push({ end: at, over: at + PHRASE_END });
  }

  userTyped(text: string, at: number): void {
    this.#interrupt();
    this.#finals = [text];
    this.#turnOpen = true;
    this.#commitUser();
    this.#phrases = [{ end: at, over: at }];
    this.#noticed = true;
    this.#earlyLatency = undefined;
  }

  // Events of the connection

  ready(): void {
    this.connected = true;
  }

  /** The connection is lost; on the next one, both sides repeat what they did not finish. */
  connectionLost(): void {
    this.connected = this.userSpeaking = this.#turnOpen = false;
    this.#finals = [];
    this.#interim = "";
    if ((this.botSpeaking || this.thinking) && this.#answer.sentences.size > 0) {
      this.#cut = this.#answer;
      this.#answer = new Answer(this.#key++, this.#cut.turn);
    }
    this.botSpeaking = this.thinking = false;
    this.#answering = undefined;
  }

  interrupted(): void {
    this.#interrupt();
  }

  userStarted(at: number): void {
    this.#interrupt();
    this.userSpeaking = this.#turnOpen = this.#noticed = true;
    this.#lastActivity = at;
  }

  userStopped(at: number): void {
    this.userSpeaking = false;
    this.#commitUser();
    this.#lastActivity = at;
  }

  userTranscript(text: string, final: boolean, at: number): void {
    this.#lastActivity = at;
    this.#noticed = true;
    this.#interim = final ? "" : text;
    if (!final) return;
    this.#finals.push(text);
    if (this.#turnOpen || !(this.thinking || this.botSpeaking)) this.#turnOpen = true;
    // Some models transcribe after they start to answer; the transcript belongs before the answer.
    else this.#addUserLine();
  }

  llmStarted(at: number): void {
    this.thinking = true;
    this.#answering = this.#lastPhrase(at);
    this.#beginAnswer();
    this.#lastActivity = at;
  }

  botStarted(at: number): void {
    this.botSpeaking = true;
    this.thinking = false;
    this.#beginAnswer();
    this.#lastActivity = at;
  }

  botStopped(at: number): void {
    this.botSpeaking = false;
    this.#lastActivity = at;
  }

  botSentence(sentence: Sentence, at: number): void {
    this.#cut = undefined; // after a lost connection the agent repeats it
    this.#answer.add(sentence);
    this.#lastActivity = at;
  }

  /**
   * The agent played a block that ended at `at`; its sound starts at `first`, or it is silent.
   * Returns true if this changed something visible.
   */
  agentBlock(first: number | undefined, at: number): boolean {
    if (first === undefined) return false;
    const newUtterance = this.#lastSound === undefined || at - this.#lastSound > PAUSE;
    const wasThinking = this.thinking;
    // Audio in flight while the user interrupts does not answer the interruption.
    const answers = newUtterance && this.#noticed && !this.userSpeaking;
    const end = this.#answering ?? this.#lastPhrase(first);
    if (answers && end !== undefined && end <= first) {
      this.#beginAnswer();
      const ms = 1000 * (first - end);
      this.turns.push({ ms, parts: this.#earlyLatency ? partsOf(ms, this.#earlyLatency) : [] });
      this.#answer.turn = this.turns.length;
      this.#phrases = this.#phrases.filter((phrase) => phrase.end > end);
      this.#answering = this.#earlyLatency = undefined;
      this.#noticed = false;
    }
    this.thinking = false;
    this.#lastSound = this.#lastActivity = at;
    return wasThinking || answers;
  }

  latencyMeasured(latency: AgentLatency): void {
    const last = this.turns.at(-1);
    if (this.#phrases.length > 0 && this.#noticed) this.#earlyLatency = latency;
    else if (last && last.parts.length === 0) last.parts = partsOf(last.ms, latency);
  }

  note(text: string, detail = false): void {
    this.lines.push({ key: this.#key++, who: "note", text, detail });
  }

  /** Complete an answer after enough silence. Returns true if this added a line. */
  tick(at: number): boolean {
    const busy = this.userSpeaking || this.botSpeaking || this.thinking || !this.connected;
    if (busy || at - this.#lastActivity <= SETTLE) return false;
    const before = this.lines.length;
    this.#finishAnswer();
    return this.lines.length !== before;
  }

  /** The call is over: complete the pending utterances as they are. */
  end(): void {
    this.#commitUser();
    this.#finishCut();
    this.#finishAnswer();
    this.connected = this.userSpeaking = this.botSpeaking = this.thinking = false;
  }

  /** Return the end of the last phrase that is over at `at` and that the agent noticed. */
  #lastPhrase(at: number): number | undefined {
    return this.#noticed ? this.#phrases.findLast(({ over }) => over <= at)?.end : undefined;
  }

  #commitUser(): void {
    if (this.#finals.length === 0) return;
    this.#finishCut();
    this.#finishAnswer();
    this.#addUserLine();
  }

  #addUserLine(): void {
    this.#onTurnUnderstood();
    this.lines.push({ key: this.#key++, who: "you", text: joined(this.#finals) });
    this.#finals = [];
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
    // An answer interrupted in its first sentence may have no text; the line shows the interruption.
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
    this.#answering = undefined;
    this.#lastSound = undefined; // the next sound is a new utterance
  }
}

/** Names of the latency stages, as `voicecore talk` shows them, by Pipecat's keys. */
const STAGES: Record<string, string> = {
  endpointing_wait: "VAD",
  transcription: "STT",
  turn_detection: "turn",
  turn_completion: "turn",
  waiting_for_user: "turn",
  first_request: "LLM",
  llm_inference: "LLM",
  llm_tool_call: "LLM",
  awaiting_speakable_text: "LLM",
  function_handler: "tool",
  sentence_aggregation: "TTS",
  speech_synthesis: "TTS",
};
const AGENT = "agent";
const NETWORK = "network";

/** Split a turn's latency into parts; they add up to `ms`. */
function partsOf(ms: number, latency: AgentLatency): LatencyPart[] {
  const sums = new Map<string, number>();
  const add = (name: string, part: number) => sums.set(name, (sums.get(name) ?? 0) + part);
  for (const stage of latency.stages) add(STAGES[stage.key] ?? AGENT, stage.ms);
  add(AGENT, latency.ms - [...sums.values()].reduce((sum, part) => sum + part, 0));
  // The rest, which the agent cannot measure: the network in both directions, and buffers.
  add(NETWORK, ms - latency.ms);
  return [...sums].map(([name, part]) => ({ name, ms: part })).filter((part) => part.ms >= 0.5);
}

function joined(texts: string[]): string {
  return texts.join(" ").replace(STRAY, "");
}
