/** One connection of a call, from handshake to end: Pipecat's client, and what it tells. */

import {
  LogLevel,
  PipecatClient,
  type RTVIEventCallbacks,
  type RTVIMessage,
} from "@pipecat-ai/client-js";
import type { Dialogue } from "./dialogue";
import { Media } from "./media";
import { offerRequest, refusalOf, type Session } from "./server";
import type { Sound } from "./sound/sound";
import { AgentGone } from "./trouble";
import type { Dial, Wire } from "./wire";

/** AgentCore gives an agent 30 s to start; the rest is for the network and the pipeline. */
const READY_MS = 45_000;
const WATCH_MS = 500;
/** The code by which a WebSocket says that all is well. */
const CLOSED_OK = 1000;

/** Pipecat's client, with the one message that it does not know. */
class Client extends PipecatClient {
  onInterrupted: (() => void) | undefined;

  protected override handleMessage(message: RTVIMessage): void {
    if (message.type === "bot-interrupted") this.onInterrupted?.();
    else super.handleMessage(message);
  }
}

/** By whom a connection ended that had been made. */
export type Ending = "agent" | "lost";

export class Connection {
  /** The way that the sound takes, where the transport can tell. */
  path: string | undefined;
  readonly #wire: Wire;
  readonly #media: Media;
  readonly #client: Client;
  readonly #ending = Promise.withResolvers<Ending>();
  #ready = false;

  constructor(
    dial: Dial,
    session: Session,
    readonly sound: Sound,
    readonly dialogue: Dialogue,
    /** Called for everything that there is to show. */
    readonly changed: () => void,
  ) {
    this.#media = new Media(sound);
    this.#wire = dial(session, this.#media, offerRequest(session));
    this.#client = new Client({
      transport: this.#wire.transport,
      disconnectOnBotDisconnect: false,
      callbacks: this.#callbacks(),
    });
    this.#client.setLogLevel(LogLevel.WARN);
    this.#client.onInterrupted = this.#showing(() => {
      sound.hush();
      dialogue.interrupted();
    });
  }

  /**
   * Connects, and returns how the connection ended; `ready` is called when the agent listens.
   * Throws Refused or AgentGone where it never did.
   */
  async hold(ready: () => void): Promise<Ending> {
    const { promise, resolve, reject } = this.#ending;
    const deadline = setTimeout(
      () => reject(new AgentGone("It took the call but did not get ready.")),
      READY_MS,
    );
    const watch = setInterval(() => void this.#watch(), WATCH_MS);
    const offline = () => resolve("lost");
    addEventListener("offline", offline);
    this.#client.connect(this.#wire.parameters).then(
      () => {
        clearTimeout(deadline);
        this.#ready = true;
        ready();
      },
      async ({ cause }: { cause?: unknown }) => {
        if (cause instanceof Response) reject(await refusalOf(cause));
        else reject(new AgentGone("No connection to it could be made."));
      },
    );
    try {
      return await promise;
    } finally {
      clearTimeout(deadline);
      clearInterval(watch);
      removeEventListener("offline", offline);
      void this.#client.disconnect();
    }
  }

  close(): void {
    this.#ending.resolve("lost");
  }

  /** Sends a block of what was said, where sound goes in blocks. */
  say(pcm: Int16Array): void {
    if (this.#ready && this.#wire.takesBlocks) this.#media.send(pcm);
  }

  type(text: string): void {
    void this.#client.sendText(text);
  }

  mute(muted: boolean): void {
    void this.#media.enableMic(!muted);
  }

  /** Sends what another microphone hears. */
  async follow(track: MediaStreamTrack): Promise<void> {
    await this.#wire.replace?.(this.#media.follow(track));
  }

  async #watch(): Promise<void> {
    if (await this.#wire.isLost?.()) this.#ended("lost");
    const path = await this.#wire.path?.();
    if (path === this.path) return;
    this.path = path;
    this.changed();
  }

  /** An end before the agent was ready is none: the connection has failed. */
  #ended(ending: Ending): void {
    if (this.#ready) this.#ending.resolve(ending);
    else this.#ending.reject(new AgentGone("It left before it was ready."));
  }

  #showing<News extends unknown[]>(take: (...news: News) => void): (...news: News) => void {
    return (...news) => {
      take(...news);
      this.changed();
    };
  }

  #callbacks(): RTVIEventCallbacks {
    const { sound, dialogue } = this;
    return {
      onBotDisconnected: () => this.#ended("agent"),
      onDisconnected: () => this.#ready && this.#ended("lost"),
      onError: ({ data }) => this.#failed(data as { error?: string; message?: string }),
      onTrackStarted: (track, participant) => {
        if (track.kind === "audio" && !participant?.local) sound.play(track);
      },
      onUserStartedSpeaking: this.#showing(() => {
        sound.hush();
        dialogue.userStarted(sound.now);
      }),
      onUserStoppedSpeaking: this.#showing(() => dialogue.userStopped(sound.now)),
      onUserTranscript: this.#showing(({ text, final }) => {
        if (text.trim()) dialogue.userSaid(text.trim(), final, sound.now);
      }),
      onBotLlmStarted: this.#showing(() => dialogue.botThinks(sound.now)),
      onBotStartedSpeaking: this.#showing(() => dialogue.botStarted(sound.now)),
      onBotStoppedSpeaking: this.#showing(() => dialogue.botStopped(sound.now)),
      onBotOutput: this.#showing(({ text, segment_id: segment, spoken_progress: progress }) => {
        const says = { text: text.trim(), segment, spoken: progress?.accumulated_text };
        if (says.text) dialogue.botSays(says, sound.now);
      }),
      onServerMessage: this.#showing((message) => this.#serverSaid(message)),
    };
  }

  /** The WebSocket transport tells all its ends as errors, in words. */
  #failed({ error, message = error }: { error?: string; message?: string }): void {
    const code = /connection closed. Code: (\d+)/.exec(message ?? "")?.[1];
    if (code) this.#ended(Number(code) === CLOSED_OK ? "agent" : "lost");
    else console.warn("The agent reports:", message); // for who wrote it; the call goes on
  }

  #serverSaid(message: unknown): void {
    const { type, ...data } = (message ?? {}) as Record<string, unknown>;
    if (type === "latency") {
      const stages = Array.isArray(data.stages) ? data.stages : [];
      this.dialogue.measured({ ms: Number(data.total_ms), stages });
    } else if (type === "tool_call") {
      this.dialogue.note(`${data.name} took ${Math.round(Number(data.ms))} ms`);
    }
  }
}
