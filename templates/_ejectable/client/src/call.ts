/** A call: devices, session and connections, and the state that the page shows. */

import { type Block, rms } from "./audio/block";
import { CallAudio } from "./audio/call-audio";
import { ReplayBuffer } from "./audio/replay-buffer";
import { firstSound, VoiceDetector } from "./audio/vad";
import { Connection, type Ending } from "./connection";
import { Conversation } from "./conversation";
import { type Devices, isGone, listDevices } from "./devices";
import { Levels } from "./levels";
import { AgentUnavailable, ConnectionLost, type Problem, problemFrom } from "./problem";
import {
  type Server,
  ServerError,
  ServerUnreachable,
  type Session,
  type TransportName,
} from "./server";
import type { CreateConnection } from "./transport";

export type Phase = "idle" | "connecting" | "live" | "reconnecting";

/** Delay before each attempt to reconnect. */
const BACKOFF_MS = [0, 250, 500, 1000, 2000, 4000];
/** A connection that lasted this long was good: the attempts start over. */
const STABLE_MS = 5000;
/** AgentCore ends every stream after 60 minutes; a close near that time is not a hang-up. */
const STREAM_MS = 3600_000 * 0.97;

/** Blocks sent per new block until the replay buffer is empty: twice the speed of speech. The agent
 * keeps only the last second while it decides that speech has started; faster would lose some. */
const REPLAY_BLOCKS = 2;

type LoadTransport = () => Promise<{ createConnection: CreateConnection }>;

const TRANSPORTS: Partial<Record<TransportName, LoadTransport>> = {
  websocket: () => import("./websocket"),
  webrtc: () => import("./webrtc"),
};

/** Load a transport's code ahead of the call. */
export function preload(transport: TransportName): void {
  void TRANSPORTS[transport]?.();
}

export class Call {
  phase: Phase = "idle";
  problem: Problem | undefined;
  /** True after a call, while its transcript is shown. */
  ended = false;
  muted = false;
  /** True when the call has a microphone; without one the user can listen and type. */
  hasMicrophone = false;
  /** Time when the agent was first ready, in ms of performance.now(). */
  connectedAt: number | undefined;
  /** Length of the ended call, in ms. */
  durationMs = 0;
  devices: Devices = { microphones: [], speakers: [] };
  chosen = { microphone: "", speaker: "" };
  conversation = new Conversation();
  readonly levels = new Levels();

  readonly #server: Server;
  readonly #onChange: () => void;
  #audio: CallAudio | undefined;
  #session: Session | undefined;
  #connection: Connection | undefined;
  #voice = new VoiceDetector();
  #replay = new ReplayBuffer();
  /** True after the microphone was lost, until there is another. */
  #lostMicrophone = false;
  /** True until the agent's first sound in this call. */
  #awaitingFirstSound = false;
  #abort = new AbortController();

  /** `onChange` is called when there is something new to show. */
  constructor(server: Server, onChange: () => void) {
    this.#server = server;
    this.#onChange = onChange;
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.#onDeviceChange());
    void this.#updateDevices();
    // An abandoned session costs money until its idle timeout.
    addEventListener("pagehide", () => this.hangUp());
  }

  get active(): boolean {
    return this.phase !== "idle";
  }

  /** True when the browser has paused the sound of the call. */
  get paused(): boolean {
    return this.phase === "live" && this.#audio?.paused === true;
  }

  /** Resume the sound. Call this on a click. */
  resumeSound(): void {
    void this.#audio?.resume();
  }

  get path(): string | undefined {
    return this.#connection?.path;
  }

  /**
   * Call the agent on a click; with `silent`, without a microphone. Returns when the call is over.
   * `context` is for a click that came before this code was loaded.
   */
  async start(transport: TransportName, silent = false, context?: AudioContext): Promise<void> {
    if (this.active) return;
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.phase = "connecting";
    this.problem = this.connectedAt = undefined;
    this.ended = this.muted = false;
    this.#awaitingFirstSound = true;
    this.#replay = new ReplayBuffer();
    this.conversation = new Conversation(() => this.#replay.turnFinished());
    this.levels.clear();
    performance.mark("call");
    this.#onChange();
    try {
      const load = TRANSPORTS[transport];
      if (load) await this.#run(transport, load, silent, signal, context);
      else await this.#openRoom(transport, signal);
    } catch (error) {
      if (!signal.aborted) this.problem = problemFrom(error);
    }
    if (!signal.aborted) this.hangUp();
  }

  /** End the call. */
  hangUp(): void {
    if (!this.active) return;
    this.#abort.abort();
    this.conversation.end();
    this.#connection?.close();
    this.#audio?.close();
    this.#stopSession();
    this.#audio = this.#connection = undefined;
    this.phase = "idle";
    this.ended = this.connectedAt !== undefined;
    this.durationMs = performance.now() - (this.connectedAt ?? 0);
    this.hasMicrophone = this.#lostMicrophone = false;
    this.levels.clear();
    this.#onChange();
  }

  mute(muted: boolean): void {
    if (!this.hasMicrophone) return;
    this.muted = muted;
    this.#audio?.mute(muted);
    this.#connection?.mute(muted);
    this.#onChange();
  }

  /** Send a typed line; it interrupts the agent. */
  type(text: string): void {
    if (this.phase !== "live" || !this.#audio) return;
    this.#audio.clearPlayback();
    this.#connection?.sendText(text);
    this.conversation.userTyped(text, this.#audio.now);
    this.#onChange();
  }

  async useMicrophone(device: string): Promise<void> {
    this.chosen.microphone = device;
    this.problem = undefined;
    try {
      await this.#openMicrophone();
      const track = this.#audio?.track;
      if (track) await this.#connection?.replaceTrack(track);
    } catch (error) {
      this.problem = problemFrom(error);
    }
    this.#onChange();
  }

  async useSpeaker(device: string): Promise<void> {
    this.chosen.speaker = device;
    await this.#audio?.useSpeaker(device);
    this.#onChange();
  }

  /** Go to Daily's page of the room in which the agent waits. The agent leaves with the caller. */
  async #openRoom(transport: TransportName, signal: AbortSignal): Promise<void> {
    const session = await this.#server.start(transport);
    if (signal.aborted) return this.#server.stop(session);
    const room = new URL(session.roomUrl ?? "");
    room.searchParams.set("t", session.roomToken ?? "");
    location.assign(room);
  }

  async #run(
    transport: TransportName,
    load: LoadTransport,
    silent: boolean,
    signal: AbortSignal,
    context?: AudioContext,
  ): Promise<void> {
    // In parallel, so that the caller waits for the slowest step only.
    const [{ createConnection }, audio, first] = await Promise.all([
      load(),
      this.#openAudio(silent, signal, context),
      this.#startSession(transport, signal),
    ]);
    let session = first;
    for (let attempts = 0; !signal.aborted;) {
      const start = performance.now();
      const ending = await this.#connect(createConnection, session, audio);
      if (signal.aborted) return;
      const age = performance.now() - start;
      if (ending === "agent" && age < STREAM_MS) {
        this.conversation.note("The agent hung up.");
        return;
      }
      attempts = age > STABLE_MS ? 0 : attempts + 1;
      this.phase = "reconnecting";
      this.conversation.connectionLost();
      audio.clearPlayback();
      this.#onChange();
      session = this.#session = await this.#resume(transport, session, attempts, signal);
    }
  }

  async #startSession(transport: TransportName, signal: AbortSignal): Promise<Session> {
    this.#session = await this.#server.start(transport);
    const session = this.#session;
    if (signal.aborted) this.#stopSession();
    return session;
  }

  async #openAudio(
    silent: boolean,
    signal: AbortSignal,
    context?: AudioContext,
  ): Promise<CallAudio> {
    const audio = await CallAudio.open(
      {
        onUser: (block) => this.#onUserBlock(block),
        onAgent: (block) => this.#onAgentBlock(block),
        onMicrophoneLost: () => this.#onMicrophoneLost(),
        onPause: this.#onChange,
      },
      this.chosen.speaker,
      context,
    );
    if (signal.aborted) audio.close();
    else this.#audio = audio;
    if (!silent) await this.#openMicrophone();
    return audio;
  }

  async #openMicrophone(): Promise<void> {
    const audio = this.#audio;
    if (!audio) return;
    await audio.useMicrophone(this.chosen.microphone);
    if (audio !== this.#audio) return audio.close(); // hung up during the microphone prompt
    audio.mute(this.muted);
    this.#voice = new VoiceDetector();
    this.hasMicrophone = true;
    if (this.#lostMicrophone)
      this.conversation.note("The microphone is gone. Using the default one.");
    this.#lostMicrophone = false;
    void this.#updateDevices(); // the browser names the devices now that access is granted
  }

  async #connect(
    createConnection: CreateConnection,
    session: Session,
    audio: CallAudio,
  ): Promise<Ending> {
    const connection = new Connection(
      createConnection,
      this.#server,
      session,
      audio,
      this.conversation,
      this.#onChange,
    );
    this.#connection = connection;
    connection.mute(this.muted);
    this.#replay.rewind();
    try {
      return await connection.run(() => {
        this.phase = "live";
        this.connectedAt ??= performance.now();
        this.conversation.ready();
        this.#onChange();
      });
    } catch (error) {
      // While reconnecting, try again.
      if (this.connectedAt !== undefined && error instanceof AgentUnavailable) return "lost";
      throw error;
    }
  }

  async #resume(
    transport: TransportName,
    session: Session,
    attempts: number,
    signal: AbortSignal,
  ): Promise<Session> {
    for (const delay of BACKOFF_MS.slice(attempts)) {
      await online(signal);
      await new Promise((done) => setTimeout(done, delay));
      if (signal.aborted) return session;
      try {
        return await this.#server.start(transport, session);
      } catch (error) {
        const passes = error instanceof ServerError && error.status >= 500;
        if (!passes && !(error instanceof ServerUnreachable)) throw error;
      }
    }
    throw new ConnectionLost();
  }

  #onUserBlock(block: Block): void {
    this.levels.addUser(this.muted ? 0 : rms(block.pcm));
    if (this.connectedAt === undefined || !this.active) return;
    const voiceEnd = this.muted ? undefined : this.#voice.lastVoice(block);
    if (voiceEnd !== undefined) this.conversation.voiceEnded(voiceEnd);
    this.#replay.add(block.pcm, voiceEnd !== undefined);
    if (this.phase !== "live") return;
    for (const pcm of this.#replay.take(REPLAY_BLOCKS)) this.#connection?.send(pcm);
  }

  /** Handle the agent's audio. A block comes every 32 ms, in silence too, and drives the clock. */
  #onAgentBlock(block: Block): void {
    this.levels.addAgent(rms(block.pcm));
    const first = firstSound(block);
    if (first !== undefined && this.#awaitingFirstSound) {
      this.#awaitingFirstSound = false;
      performance.measure("call to first sound", "call"); // visible in the browser's profiler
    }
    const changed = this.conversation.agentBlock(first, block.end);
    if (this.conversation.tick(block.end) || changed) this.#onChange();
  }

  #stopSession(): void {
    // If this fails, the idle timeout ends the session.
    if (this.#session) this.#server.stop(this.#session).catch((error) => console.warn(error));
    this.#session = undefined;
  }

  /** The microphone was unplugged, or the user has blocked it: use the default one, if any. */
  #onMicrophoneLost(): void {
    this.hasMicrophone = false;
    this.#lostMicrophone = true;
    void this.useMicrophone("");
  }

  /** Devices were plugged in or unplugged. */
  async #onDeviceChange(): Promise<void> {
    await this.#updateDevices();
    const { microphones, speakers } = this.devices;
    if (this.#lostMicrophone && microphones.length > 0) await this.useMicrophone("");
    if (isGone(this.chosen.speaker, speakers)) {
      await this.useSpeaker("");
      this.conversation.note("The speaker is gone. Using the default one.");
    }
    if (isGone(this.chosen.microphone, microphones)) this.chosen.microphone = "";
    this.#onChange();
  }

  async #updateDevices(): Promise<void> {
    this.devices = await listDevices();
    this.#onChange();
  }
}

/** Wait until the browser is online. */
function online(signal: AbortSignal): Promise<void> {
  if (navigator.onLine) return Promise.resolve();
  return new Promise((resolve) => {
    addEventListener("online", () => resolve(), { once: true, signal });
    signal.addEventListener("abort", () => resolve());
  });
}
