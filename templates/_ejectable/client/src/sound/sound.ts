/** The sound of a call: microphone and speaker, and what either side is heard to say. */

import type { Block } from "./block";
import earUrl from "./ear.worklet?worker&url";
import type { Order } from "./mouth.worklet";
import mouthUrl from "./mouth.worklet?worker&url";

/** Speech, as a call wants it: browsers do this better than any page could. */
const PROCESSING = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

type Listener = (block: Block) => void;

/** Whether this browser lets a page choose where it plays, over WebSocket and over WebRTC. */
export const SPEAKER_CHOICE =
  "setSinkId" in AudioContext.prototype && "setSinkId" in HTMLMediaElement.prototype;

export class Sound {
  #context: AudioContext;
  #stream: MediaStream | undefined;
  #microphone: MediaStreamAudioSourceNode | undefined;
  #userEar: AudioWorkletNode;
  #agentEar: AudioWorkletNode;
  #mouth: AudioWorkletNode;
  #remote: MediaStreamAudioSourceNode | undefined;
  /** Plays what comes over WebRTC: Chromium plays no remote sound without an element. */
  #player = new Audio();

  /** Takes the sound system; call it in answer to a click, or browsers keep it silent. */
  static async open(said: Listener, heard: Listener, speaker: string): Promise<Sound> {
    const context = new AudioContext({ latencyHint: "interactive" });
    await Promise.all([
      context.audioWorklet.addModule(earUrl),
      context.audioWorklet.addModule(mouthUrl),
      context.resume(),
    ]);
    const sound = new Sound(context, said, heard);
    if (speaker) await sound.playOn(speaker);
    return sound;
  }

  private constructor(context: AudioContext, said: Listener, heard: Listener) {
    this.#context = context;
    this.#userEar = ear(context, said);
    this.#agentEar = ear(context, heard);
    this.#mouth = new AudioWorkletNode(context, "mouth", { outputChannelCount: [1] });
    this.#mouth.connect(context.destination);
    this.#mouth.connect(this.#agentEar);
  }

  /** Seconds of the clock by which blocks are dated. */
  get now(): number {
    return this.#context.currentTime;
  }

  /** The microphone's track; undefined for who only listens. */
  get track(): MediaStreamTrack | undefined {
    return this.#stream?.getAudioTracks()[0];
  }

  /** Listens to a microphone, the system's own by "", instead of the one before. */
  async listenTo(device: string): Promise<void> {
    const stream = await microphone(device);
    this.#stopListening();
    this.#stream = stream;
    this.#microphone = this.#context.createMediaStreamSource(stream);
    this.#microphone.connect(this.#userEar);
  }

  /** Plays on a speaker, the system's own by "". */
  async playOn(device: string): Promise<void> {
    const context = this.#context as AudioContext & { setSinkId(id: string): Promise<void> };
    if (SPEAKER_CHOICE)
      await Promise.all([context.setSinkId(device), this.#player.setSinkId(device)]);
  }

  /** Sends silence instead of what the microphone hears. */
  mute(muted: boolean): void {
    for (const track of this.#stream?.getTracks() ?? []) track.enabled = !muted;
  }

  /** Says 16-bit mono PCM, after what is still to be said. */
  say(pcm: Int16Array, rate: number): void {
    this.#mouth.port.postMessage({ rate, pcm } satisfies Order, [pcm.buffer]);
  }

  /** Forgets what is still to be said. */
  hush(): void {
    this.#mouth.port.postMessage("flush" satisfies Order);
  }

  /** Plays what the agent says over WebRTC. */
  play(track: MediaStreamTrack): void {
    const stream = new MediaStream([track]);
    this.#remote?.disconnect();
    this.#remote = this.#context.createMediaStreamSource(stream);
    this.#remote.connect(this.#agentEar);
    this.#player.srcObject = stream;
    void this.#player.play();
  }

  /** Lets go of microphone and speaker. */
  close(): void {
    this.#stopListening();
    this.#player.srcObject = null;
    // Whoever hangs up while the microphone is asked for is over before it is let go of.
    if (this.#context.state !== "closed") void this.#context.close();
  }

  #stopListening(): void {
    this.#microphone?.disconnect();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
  }
}

function ear(context: AudioContext, tell: Listener): AudioWorkletNode {
  const node = new AudioWorkletNode(context, "ear", { outputChannelCount: [1] });
  node.port.onmessage = ({ data }: MessageEvent<Block>) => tell(data);
  // It says nothing; but what leads nowhere is not run by every browser.
  node.connect(context.destination);
  return node;
}

async function microphone(device: string): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new DOMException("insecure origin", "SecurityError");
  const audio = { ...PROCESSING, channelCount: 1, ...(device && { deviceId: { exact: device } }) };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    // The chosen one was unplugged: any other is better than none.
    if (device && error instanceof DOMException && error.name === "OverconstrainedError") {
      return microphone("");
    }
    throw error;
  }
}
