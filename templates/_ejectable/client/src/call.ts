/** One call after another: devices, session and connections, and what the page shows of them. */

import { Connection } from "./connection";
import { type Devices, devices } from "./devices";
import { Dialogue } from "./dialogue";
import { forgetInvite, keepInvite, takeInvite } from "./invite";
import { Levels } from "./levels";
import { type Session, start, stop, type TransportName, Unreachable } from "./server";
import { type Block, rms } from "./sound/block";
import { Ring } from "./sound/ring";
import { Sound } from "./sound/sound";
import { firstSound, VoiceTracker } from "./sound/voice";
import { AgentGone, ConnectionLost, type Trouble, troubleOf } from "./trouble";
import type { Dial } from "./wire";

export type Phase = "idle" | "connecting" | "live" | "reconnecting";

/** Before each try to reconnect. */
const BACKOFF_MS = [0, 250, 500, 1000, 2000, 4000];
/** A connection that lived this long was a good one: the tries start anew. */
const STABLE_MS = 5000;
/** AgentCore ends every stream after 60 minutes; a close about then is no hang-up. */
const STREAM_MS = 3600_000 * 0.97;

/** Blocks sent for each that is said, until what was kept has been: twice the speed of speech. An
 * agent decides that speech has begun while more of it passes, and keeps but the last second. */
const AT_ONCE = 2;

const DIALS: Partial<Record<TransportName, () => Promise<{ dial: Dial }>>> = {
  websocket: () => import("./websocket"),
  webrtc: () => import("./webrtc"),
};

/** Brings the code of a transport, so that it is there when it is wanted. */
export function preload(transport: TransportName): void {
  void DIALS[transport]?.();
}

export class Call {
  phase: Phase = "idle";
  trouble: Trouble | undefined;
  /** Whether there was a call: its transcript is still to be read. */
  over = false;
  muted = false;
  /** Whether the user can be heard: who has no microphone can still listen and type. */
  listening = false;
  /** When the agent was ready, in ms of performance.now(). */
  since: number | undefined;
  /** How long the call that is over has lasted, in ms. */
  lasted = 0;
  invite = takeInvite();
  devices: Devices = { microphones: [], speakers: [] };
  chosen = { microphone: "", speaker: "" };
  dialogue = new Dialogue();
  readonly levels = new Levels();

  readonly #changed: () => void;
  #sound: Sound | undefined;
  #session: Session | undefined;
  #connection: Connection | undefined;
  #tracker = new VoiceTracker();
  #ring = new Ring();
  /** Whether the agent has not been heard in this call. */
  #awaited = false;
  #ending = new AbortController();

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

  get path(): string | undefined {
    return this.#connection?.path;
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
    this.phase = "connecting";
    this.trouble = this.since = undefined;
    this.over = this.muted = false;
    this.#awaited = true;
    this.#ring = new Ring();
    this.dialogue = new Dialogue(() => this.#ring.turnFinished());
    this.levels.clear();
    performance.mark("call");
    this.#changed();
    try {
      const load = DIALS[transport];
      if (load) await this.#hold(transport, load, silent, signal);
      else await this.#goTo(transport, signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(troubleOf(error));
    }
    if (!signal.aborted) this.hangUp();
  }

  /** Ends the call, as a user does. */
  hangUp(): void {
    if (!this.active) return;
    this.#ending.abort();
    this.dialogue.end();
    this.#connection?.close();
    this.#sound?.close();
    this.#stop();
    this.#sound = this.#connection = undefined;
    this.phase = "idle";
    this.over = this.since !== undefined;
    this.lasted = performance.now() - (this.since ?? 0);
    this.listening = false;
    this.levels.clear();
    this.#changed();
  }

  mute(muted: boolean): void {
    if (!this.listening) return;
    this.muted = muted;
    this.#sound?.mute(muted);
    this.#connection?.mute(muted);
    this.#changed();
  }

  /** Says a line without a voice; what the agent is saying is cut off. */
  type(text: string): void {
    if (this.phase !== "live" || !this.#sound) return;
    this.#sound.hush();
    this.#connection?.type(text);
    this.dialogue.typed(text, this.#sound.now);
    this.#changed();
  }

  async useMicrophone(device: string): Promise<void> {
    this.chosen.microphone = device;
    try {
      await this.#listen();
      const track = this.#sound?.track;
      if (track) await this.#connection?.follow(track);
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

  /** The call is held on another page, which the agent waits at; it leaves with whoever came. */
  async #goTo(transport: TransportName, signal: AbortSignal): Promise<void> {
    const session = await start(transport, this.invite);
    if (signal.aborted) return stop(session);
    const room = new URL(session.roomUrl ?? "");
    room.searchParams.set("t", session.roomToken ?? "");
    location.assign(room);
  }

  async #hold(
    transport: TransportName,
    load: () => Promise<{ dial: Dial }>,
    silent: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    // All at once: a person waits for the slowest, not for the sum.
    const [{ dial }, sound, first] = await Promise.all([
      load(),
      this.#open(silent, signal),
      this.#start(transport, signal),
    ]);
    let session = first;
    for (let tries = 0; !signal.aborted;) {
      const begun = performance.now();
      const ending = await this.#connect(dial, session, sound);
      if (signal.aborted) return;
      const age = performance.now() - begun;
      if (ending === "agent" && age < STREAM_MS) {
        this.dialogue.note("The agent hung up.");
        return;
      }
      tries = age > STABLE_MS ? 0 : tries + 1;
      this.phase = "reconnecting";
      this.dialogue.lost();
      sound.hush();
      this.#changed();
      session = this.#session = await this.#resume(transport, session, tries, signal);
    }
  }

  async #start(transport: TransportName, signal: AbortSignal): Promise<Session> {
    this.#session = await start(transport, this.invite);
    const session = this.#session;
    if (signal.aborted) this.#stop();
    return session;
  }

  async #open(silent: boolean, signal: AbortSignal): Promise<Sound> {
    const sound = await Sound.open(
      (block) => this.#said(block),
      (block) => this.#heard(block),
      this.chosen.speaker,
    );
    if (signal.aborted) sound.close();
    else this.#sound = sound;
    if (!silent) await this.#listen();
    return sound;
  }

  async #listen(): Promise<void> {
    const sound = this.#sound;
    if (!sound) return;
    await sound.listenTo(this.chosen.microphone);
    if (sound !== this.#sound) return sound.close(); // they hung up while they were asked
    sound.mute(this.muted);
    this.#tracker = new VoiceTracker();
    this.listening = true;
    void this.#look(); // names of devices are told to whom the microphone is lent
  }

  async #connect(dial: Dial, session: Session, sound: Sound): Promise<"agent" | "lost"> {
    const connection = new Connection(dial, session, sound, this.dialogue, this.#changed);
    this.#connection = connection;
    connection.mute(this.muted);
    this.#ring.rewind();
    try {
      return await connection.hold(() => {
        this.phase = "live";
        this.since ??= performance.now();
        this.dialogue.ready();
        this.#changed();
      });
    } catch (error) {
      // One that replaces another may be tried again.
      if (this.since !== undefined && error instanceof AgentGone) return "lost";
      throw error;
    }
  }

  async #resume(
    transport: TransportName,
    session: Session,
    tries: number,
    signal: AbortSignal,
  ): Promise<Session> {
    for (const pause of BACKOFF_MS.slice(tries)) {
      await online(signal);
      await new Promise((done) => setTimeout(done, pause));
      if (signal.aborted) return session;
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
    if (this.since === undefined || !this.active) return;
    const last = this.muted ? undefined : this.#tracker.lastVoice(block);
    if (last !== undefined) this.dialogue.voiced(last);
    this.#ring.add(block.pcm, last !== undefined);
    if (this.phase !== "live") return;
    for (const pcm of this.#ring.take(AT_ONCE)) this.#connection?.say(pcm);
  }

  /** The page's clock: the agent's ear hears a block every 32 ms, also of silence. */
  #heard(block: Block): void {
    this.levels.heard(rms(block.pcm));
    const first = firstSound(block);
    if (first !== undefined && this.#awaited) {
      this.#awaited = false;
      performance.measure("call to first sound", "call"); // for whoever wants to know
    }
    const sounded = this.dialogue.sounded(first, block.end);
    if (this.dialogue.tick(block.end) || sounded) this.#changed();
  }

  #fail(trouble: Trouble): void {
    this.trouble = trouble;
    if (trouble.remedy !== "key") return;
    forgetInvite();
    this.invite = "";
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
