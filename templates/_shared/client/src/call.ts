/** One call after another: devices, session and connections, and what the page shows of them. */

import { LogLevel, PipecatClient, type RTVIMessage } from "@pipecat-ai/client-js";
import { type Devices, devices } from "./devices";
import { Dialogue } from "./dialogue";
import { forgetInvite, keepInvite, takeInvite } from "./invite";
import { Levels } from "./levels";
import { Media } from "./media";
import { refusalOf, type Session, start, stop, type TransportName, Unreachable } from "./server";
import { type Block, rms } from "./sound/block";
import { Sound } from "./sound/sound";
import { firstSound, VoiceTracker } from "./sound/voice";
import { AgentGone, ConnectionLost, type Trouble, troubleOf } from "./trouble";
import type { Dial, Wire } from "./wire";

export type Phase = "idle" | "connecting" | "live" | "reconnecting";

/** AgentCore gives an agent 30 s to start; the rest is for the network and the pipeline. */
const READY_MS = 45_000;
/** Before each try to reconnect. */
const BACKOFF_MS = [0, 250, 500, 1000, 2000, 4000];
/** A connection that lived this long was a good one: the tries start anew. */
const STABLE_MS = 5000;
/** AgentCore ends every stream after 60 minutes; a close about then is no hang-up. */
const STREAM_MS = 3600_000 * 0.97;
const WATCH_MS = 500;
/** The code by which a WebSocket says that all is well. */
const CLOSED_OK = 1000;

const DIALS: Record<TransportName, () => Promise<{ dial: Dial }>> = {
  websocket: () => import("./websocket"),
  webrtc: () => import("./webrtc"),
};

/** Brings the code of a transport, so that it is there when it is wanted. */
export function preload(transport: TransportName): void {
  void DIALS[transport]();
}

/** Pipecat's client, with the one message that it does not know. */
class Client extends PipecatClient {
  onInterrupted: (() => void) | undefined;

  protected override handleMessage(message: RTVIMessage): void {
    if (message.type === "bot-interrupted") this.onInterrupted?.();
    else super.handleMessage(message);
  }
}

/** Why a connection ended. */
type Ending = "agent" | "lost";

export class Call {
  phase: Phase = "idle";
  trouble: Trouble | undefined;
  /** Whether a call has ended, by whom the transcript is kept. */
  over = false;
  muted = false;
  /** Whether the user can be heard: who has no microphone can still listen and type. */
  listening = false;
  path: string | undefined;
  /** When the agent was ready, in ms of performance.now(). */
  since: number | undefined;
  invite = takeInvite();
  devices: Devices = { microphones: [], speakers: [] };
  chosen = { microphone: "", speaker: "" };
  dialogue = new Dialogue();
  readonly levels = new Levels();

  #changed: () => void;
  #sound: Sound | undefined;
  #media: Media | undefined;
  #wire: Wire | undefined;
  #client: Client | undefined;
  #session: Session | undefined;
  #ending = new AbortController();
  #tracker = new VoiceTracker();

  /** `changed` is called whenever there is something new to show. */
  constructor(changed: () => void) {
    this.#changed = changed;
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.#look());
    void this.#look();
    // Nobody pays for the silence of a page that is gone.
    addEventListener("pagehide", () => this.hangUp());
  }

  get active(): boolean {
    return this.phase !== "idle";
  }

  /** Uses the invite that has come into the address. */
  takeInvite(): void {
    this.useInvite(takeInvite());
  }

  useInvite(invite: string): void {
    keepInvite(invite);
    this.invite = invite;
    this.trouble = undefined;
    this.#changed();
  }

  /** Calls the agent; `silent` asks for no microphone. Returns when the call is over. */
  async start(transport: TransportName, silent = false): Promise<void> {
    if (this.active) return;
    this.#ending = new AbortController();
    const { signal } = this.#ending;
    Object.assign(this, { phase: "connecting", trouble: undefined, over: false, path: undefined });
    Object.assign(this, { muted: false, since: undefined, dialogue: new Dialogue() });
    this.levels.clear();
    this.#changed();
    try {
      await this.#hold(transport, silent, signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(troubleOf(error));
    }
    this.#close();
  }

  /** Ends the call, as a user does. */
  hangUp(): void {
    if (!this.active) return;
    this.#ending.abort();
    this.#close();
  }

  mute(muted: boolean): void {
    if (!this.listening) return;
    this.muted = muted;
    this.#sound?.mute(muted);
    void this.#media?.enableMic(!muted);
    this.#changed();
  }

  /** Says a line without a voice; what the agent is saying is cut off. */
  type(text: string): void {
    const sound = this.#sound;
    if (this.phase !== "live" || !sound) return;
    sound.hush();
    void this.#client?.sendText(text);
    this.dialogue.typed(text, sound.now);
    this.#changed();
  }

  async useMicrophone(device: string): Promise<void> {
    this.chosen.microphone = device;
    try {
      await this.#listen();
      const track = this.#sound?.track;
      if (track) {
        this.#media?.follow(track);
        await this.#wire?.replace?.(this.#media?.tracks().local.audio ?? track);
      }
    } catch (error) {
      this.trouble = troubleOf(error);
    }
    this.#changed();
  }

  async useSpeaker(device: string): Promise<void> {
    this.chosen.speaker = device;
    await this.#sound?.playOn(device);
    this.#changed();
  }

  async #hold(transport: TransportName, silent: boolean, signal: AbortSignal): Promise<void> {
    // All at once: a person waits for the slowest, not for the sum.
    const opening = this.#open(silent);
    const starting = start(transport, this.invite).then((session) => {
      this.#session = session;
      if (signal.aborted) this.#stop();
      return session;
    });
    const [{ dial }, , first] = await Promise.all([DIALS[transport](), opening, starting]);
    let session = first;
    for (let tries = 0, resumed = false; !signal.aborted; resumed = true) {
      const begun = performance.now();
      const ending = await this.#connection(dial, session, signal, resumed);
      const age = performance.now() - begun;
      if (ending === "agent" && age < STREAM_MS) {
        this.dialogue.note("The agent hung up.");
        return;
      }
      tries = age > STABLE_MS ? 0 : tries + 1;
      this.phase = "reconnecting";
      this.dialogue.lost();
      this.#sound?.hush();
      this.#changed();
      session = this.#session = await this.#resume(transport, session, tries, signal);
    }
  }

  async #open(silent: boolean): Promise<void> {
    this.#sound = await Sound.open(
      (block) => this.#said(block),
      (block) => this.#heard(block),
      this.chosen.speaker,
    );
    if (this.#ending.signal.aborted) this.#sound.close();
    else if (!silent) await this.#listen();
  }

  async #listen(): Promise<void> {
    if (!this.#sound) return;
    await this.#sound.listenTo(this.chosen.microphone);
    this.#sound.mute(this.muted);
    this.#tracker = new VoiceTracker();
    this.listening = true;
    await this.#look(); // names of devices are told to whom the microphone is lent
  }

  /** One connection, from handshake to end. */
  async #connection(
    dial: Dial,
    session: Session,
    signal: AbortSignal,
    resumed: boolean,
  ): Promise<Ending> {
    const sound = this.#sound as Sound;
    const media = new Media(sound);
    const wire = dial(session, media);
    const { dialogue } = this;
    const told =
      <T extends unknown[]>(take: (...news: T) => void) =>
      (...news: T) => {
        take(...news);
        this.#changed();
      };
    return new Promise<Ending>((resolve, reject) => {
      const client = new Client({
        transport: wire.transport,
        disconnectOnBotDisconnect: false,
        callbacks: {
          onBotReady: told(() => {
            clearTimeout(deadline);
            [this.#wire, this.#media, this.#client] = [wire, media, client];
            this.phase = "live";
            this.since ??= performance.now();
            dialogue.ready();
          }),
          onDisconnected: () => resolve("lost"),
          onBotDisconnected: () => resolve("agent"),
          onError: told(({ data }) => {
            const { error, message = error } = data as { error?: string; message?: string };
            const code = /connection closed. Code: (\d+)/.exec(message ?? "")?.[1];
            if (code) resolve(Number(code) === CLOSED_OK ? "agent" : "lost");
            else console.warn("The agent reports:", message); // for who wrote it; the call goes on
          }),
          onTrackStarted: (track, participant) => {
            if (track.kind === "audio" && !participant?.local) sound.play(track);
          },
          onUserStartedSpeaking: told(() => {
            sound.hush();
            dialogue.userStarted(sound.now);
          }),
          onUserStoppedSpeaking: told(() => dialogue.userStopped(sound.now)),
          onUserTranscript: told(({ text, final }) => {
            if (text.trim()) dialogue.userSaid(text.trim(), final, sound.now);
          }),
          onBotLlmStarted: told(() => dialogue.botThinks(sound.now)),
          onBotStartedSpeaking: told(() => dialogue.botStarted(sound.now)),
          onBotStoppedSpeaking: told(() => dialogue.botStopped(sound.now)),
          onBotOutput: told(({ text, segment_id: segment, spoken_progress: progress }) => {
            const says = { text: text.trim(), segment, spoken: progress?.accumulated_text };
            if (says.text) dialogue.botSays(says, sound.now);
          }),
          onServerMessage: told((message) => this.#serverSaid(message)),
        },
      });
      client.setLogLevel(LogLevel.WARN);
      client.onInterrupted = told(() => {
        sound.hush();
        dialogue.interrupted();
      });
      const deadline = setTimeout(
        () => reject(new AgentGone("It took the call but did not get ready.")),
        READY_MS,
      );
      const watch = setInterval(async () => {
        if (await wire.isLost?.()) resolve("lost");
        const path = await wire.path?.();
        if (path && path !== this.path) told(() => (this.path = path))();
      }, WATCH_MS);
      const offline = () => resolve("lost");
      addEventListener("offline", offline);
      signal.addEventListener("abort", () => resolve("lost"));
      const end = () => {
        clearTimeout(deadline);
        clearInterval(watch);
        removeEventListener("offline", offline);
        this.#wire = this.#media = this.#client = undefined;
        void client.disconnect();
      };
      this.#leave = end;
      client.connect(wire.parameters).catch(async (error: unknown) => {
        const { cause } = error as { cause?: unknown };
        if (cause instanceof Response) reject(await refusalOf(cause));
        else if (resumed) resolve("lost");
        else reject(new AgentGone("No connection to it could be made."));
      });
    }).finally(() => this.#leave());
  }

  #leave: () => void = () => {};

  async #resume(
    transport: TransportName,
    session: Session,
    tries: number,
    signal: AbortSignal,
  ): Promise<Session> {
    for (const pause of BACKOFF_MS.slice(tries)) {
      await online(signal);
      await new Promise((done) => setTimeout(done, pause));
      if (signal.aborted) break;
      try {
        return await start(transport, this.invite, session);
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
      }
    }
    throw new ConnectionLost();
  }

  #said(block: Block): void {
    this.levels.said(this.muted ? 0 : rms(block.pcm));
    if (this.phase !== "live") return;
    if (this.#wire?.takesBlocks) this.#media?.send(block.pcm);
    const last = this.muted ? undefined : this.#tracker.lastVoice(block);
    if (last !== undefined) this.dialogue.voiced(last);
  }

  /** The page's clock: the agent's ear hears a block every 32 ms, also of silence. */
  #heard(block: Block): void {
    this.levels.heard(rms(block.pcm));
    const turns = this.dialogue.turns.length;
    this.dialogue.sounded(firstSound(block), block.end);
    if (this.dialogue.tick(block.end) || turns !== this.dialogue.turns.length) this.#changed();
  }

  #serverSaid(message: unknown): void {
    const { type, ...data } = (message ?? {}) as Record<string, unknown>;
    if (type === "latency") {
      const stages = (Array.isArray(data.stages) ? data.stages : []) as {
        key: string;
        ms: number;
      }[];
      this.dialogue.measured({ ms: Number(data.total_ms), stages });
    } else if (type === "tool_call") {
      this.dialogue.note(`${data.name} took ${Math.round(Number(data.ms))} ms`);
    }
  }

  #fail(trouble: Trouble): void {
    this.trouble = trouble;
    if (trouble.remedy === "key") {
      forgetInvite();
      this.invite = "";
    }
  }

  #close(): void {
    if (!this.active) return;
    this.dialogue.end();
    this.#leave();
    this.#sound?.close();
    this.#stop();
    this.#sound = undefined;
    this.phase = "idle";
    this.over = this.since !== undefined;
    this.listening = false;
    this.levels.clear();
    this.#changed();
  }

  #stop(): void {
    // The idle timeout ends what cannot be ended.
    if (this.#session) stop(this.#session).catch((error) => console.warn(error));
    this.#session = undefined;
  }

  async #look(): Promise<void> {
    this.devices = await devices();
    this.#changed();
  }
}

/** Waits while the browser knows that there is no network. */
function online(signal: AbortSignal): Promise<void> {
  if (navigator.onLine) return Promise.resolve();
  return new Promise((resolve) => {
    addEventListener("online", () => resolve(), { once: true, signal });
    signal.addEventListener("abort", () => resolve());
  });
}
