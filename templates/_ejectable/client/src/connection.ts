/** One connection of a call, from handshake to end: runs Pipecat's client and handles its events. */

import {
  LogLevel,
  PipecatClient,
  type RTVIEventCallbacks,
  type RTVIMessage,
} from "@pipecat-ai/client-js";
import type { CallAudio } from "./audio/call-audio";
import type { Conversation } from "./conversation";
import { CallMediaManager } from "./media-manager";
import { AgentUnavailable } from "./problem";
import { type Server, serverErrorFrom, type Session } from "./server";
import type { CreateConnection, TransportConnection } from "./transport";

/** AgentCore gives an agent 30 s to start; the rest is for the network and the pipeline. */
const READY_MS = 45_000;
const WATCH_MS = 500;
/** WebSocket close code of a normal end. */
const CLOSED_OK = 1000;

/** Pipecat's client, extended by the one message that it does not handle. */
class Client extends PipecatClient {
  onInterrupted: (() => void) | undefined;

  protected override handleMessage(message: RTVIMessage): void {
    if (message.type === "bot-interrupted") this.onInterrupted?.();
    else super.handleMessage(message);
  }
}

/** What ended an established connection: the agent's hang-up, or a loss. */
export type Ending = "agent" | "lost";

export class Connection {
  /** Network path of the audio, if the transport knows it. */
  path: string | undefined;
  readonly #transport: TransportConnection;
  readonly #media: CallMediaManager;
  readonly #client: Client;
  readonly #ending = Promise.withResolvers<Ending>();
  #ready = false;

  constructor(
    createConnection: CreateConnection,
    server: Server,
    session: Session,
    readonly audio: CallAudio,
    readonly conversation: Conversation,
    /** Called when there is something new to show. */
    readonly onChange: () => void,
  ) {
    this.#media = new CallMediaManager(audio);
    this.#transport = createConnection(session, this.#media, server.offer(session));
    this.#client = new Client({
      transport: this.#transport.transport,
      disconnectOnBotDisconnect: false,
      callbacks: this.#callbacks(),
    });
    this.#client.setLogLevel(LogLevel.WARN);
    this.#client.onInterrupted = this.#andShow(() => {
      audio.clearPlayback();
      conversation.interrupted();
    });
  }

  /**
   * Connect, and return how the connection ended; `onReady` is called when the agent listens.
   * Throws ServerError or AgentUnavailable if the agent never did.
   */
  async run(onReady: () => void): Promise<Ending> {
    const { promise, resolve, reject } = this.#ending;
    const deadline = setTimeout(
      () => reject(new AgentUnavailable("It accepted the call but did not become ready.")),
      READY_MS,
    );
    const watch = setInterval(() => void this.#watch(), WATCH_MS);
    const offline = () => resolve("lost");
    addEventListener("offline", offline);
    this.#client.connect(this.#transport.parameters).then(
      () => {
        clearTimeout(deadline);
        this.#ready = true;
        onReady();
      },
      async ({ cause }: { cause?: unknown }) => {
        if (cause instanceof Response) reject(await serverErrorFrom(cause));
        else reject(new AgentUnavailable("The page could not connect to it."));
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

  /** Send a block of the user's speech, if the transport sends blocks. */
  send(pcm: Int16Array): void {
    if (this.#ready && this.#transport.sendsBlocks) this.#media.send(pcm);
  }

  sendText(text: string): void {
    void this.#client.sendText(text);
  }

  mute(muted: boolean): void {
    void this.#media.enableMic(!muted);
  }

  /** Send another microphone's track from now on. */
  async replaceTrack(track: MediaStreamTrack): Promise<void> {
    await this.#transport.replaceTrack?.(this.#media.replaceTrack(track));
  }

  async #watch(): Promise<void> {
    if (await this.#transport.isLost?.()) this.#end("lost");
    const path = await this.#transport.path?.();
    if (path === this.path) return;
    this.path = path;
    this.onChange();
  }

  /** End the connection. Before the agent is ready, this is a failure. */
  #end(ending: Ending): void {
    if (this.#ready) this.#ending.resolve(ending);
    else this.#ending.reject(new AgentUnavailable("It left before it was ready."));
  }

  #andShow<Event extends unknown[]>(handle: (...event: Event) => void): (...event: Event) => void {
    return (...event) => {
      handle(...event);
      this.onChange();
    };
  }

  #callbacks(): RTVIEventCallbacks {
    const { audio, conversation } = this;
    return {
      onBotDisconnected: () => this.#end("agent"),
      onDisconnected: () => this.#ready && this.#end("lost"),
      onError: ({ data }) => this.#onError(data as { error?: string; message?: string }),
      onTrackStarted: (track, participant) => {
        if (track.kind === "audio" && !participant?.local) audio.playTrack(track);
      },
      onUserStartedSpeaking: this.#andShow(() => {
        audio.clearPlayback();
        conversation.userStarted(audio.now);
      }),
      onUserStoppedSpeaking: this.#andShow(() => conversation.userStopped(audio.now)),
      onUserTranscript: this.#andShow(({ text, final }) => {
        if (text.trim()) conversation.userTranscript(text.trim(), final, audio.now);
      }),
      onBotLlmStarted: this.#andShow(() => conversation.llmStarted(audio.now)),
      onBotStartedSpeaking: this.#andShow(() => conversation.botStarted(audio.now)),
      onBotStoppedSpeaking: this.#andShow(() => conversation.botStopped(audio.now)),
      onBotOutput: this.#andShow(({ text, segment_id: segment, spoken_progress: progress }) => {
        const sentence = { text: text.trim(), segment, spoken: progress?.accumulated_text };
        if (sentence.text) conversation.botSentence(sentence, audio.now);
      }),
      onServerMessage: this.#andShow((message) => this.#onServerMessage(message)),
    };
  }

  /** Handle an error. The WebSocket transport reports every close as one, in words. */
  #onError({ error, message = error }: { error?: string; message?: string }): void {
    const code = /connection closed. Code: (\d+)/.exec(message ?? "")?.[1];
    if (code) this.#end(Number(code) === CLOSED_OK ? "agent" : "lost");
    else console.warn("The agent reports:", message); // for its developer; the call goes on
  }

  #onServerMessage(message: unknown): void {
    const { type, ...data } = (message ?? {}) as Record<string, unknown>;
    if (type === "latency") {
      const stages = Array.isArray(data.stages) ? data.stages : [];
      this.conversation.latencyMeasured({ ms: Number(data.total_ms), stages });
    } else if (type === "tool_call") {
      this.conversation.note(`${data.name} took ${Math.round(Number(data.ms))} ms`, true);
    } else if (type === "sound" && data.outcome !== "heard") {
      this.conversation.note(String(data.message)); // what was heard is in the transcript
    }
  }
}
