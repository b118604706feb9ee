/** The audio of a call: microphone, speaker, and blocks of what each side says. */

import { NoSpeaker } from "../problem";
import type { Block } from "./block";
import captureUrl from "./capture.worklet?worker&url";
import type { PlaybackMessage } from "./playback.worklet";
import playbackUrl from "./playback.worklet?worker&url";

/** The browser's own processing of speech, which is better than any a page could do. */
const PROCESSING = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** Time within which a browser that has a speaker plays, however busy it is. */
const START_MS = 15_000;

type OnBlock = (block: Block) => void;

/** True when the page may select the speaker, over WebSocket and over WebRTC. */
export const CAN_CHOOSE_SPEAKER =
  "setSinkId" in AudioContext.prototype && "setSinkId" in HTMLMediaElement.prototype;

export class CallAudio {
  #context: AudioContext;
  #stream: MediaStream | undefined;
  #microphone: MediaStreamAudioSourceNode | undefined;
  #userCapture: AudioWorkletNode;
  #agentCapture: AudioWorkletNode;
  #playback: AudioWorkletNode;
  #remote: MediaStreamAudioSourceNode | undefined;
  /** Plays WebRTC audio: Chromium plays a remote track only through an element. */
  #player = new Audio();

  /** Open the audio system. Call this on a click; otherwise browsers keep it silent. */
  static async open(onUser: OnBlock, onAgent: OnBlock, speaker: string): Promise<CallAudio> {
    const context = new AudioContext({ latencyHint: "interactive" });
    await Promise.all([
      context.audioWorklet.addModule(captureUrl),
      context.audioWorklet.addModule(playbackUrl),
      started(context),
    ]);
    const audio = new CallAudio(context, onUser, onAgent);
    if (speaker) await audio.useSpeaker(speaker);
    return audio;
  }

  private constructor(context: AudioContext, onUser: OnBlock, onAgent: OnBlock) {
    this.#context = context;
    this.#userCapture = capture(context, onUser);
    this.#agentCapture = capture(context, onAgent);
    this.#playback = new AudioWorkletNode(context, "playback", { outputChannelCount: [1] });
    this.#playback.connect(context.destination);
    this.#playback.connect(this.#agentCapture);
  }

  /** Current time of the clock that dates blocks, in seconds. */
  get now(): number {
    return this.#context.currentTime;
  }

  /** The microphone's track; undefined in a call without a microphone. */
  get track(): MediaStreamTrack | undefined {
    return this.#stream?.getAudioTracks()[0];
  }

  /** Capture this microphone instead of the previous one; "" is the system default. */
  async useMicrophone(device: string): Promise<void> {
    const stream = await openMicrophone(device);
    this.#closeMicrophone();
    this.#stream = stream;
    this.#microphone = this.#context.createMediaStreamSource(stream);
    this.#microphone.connect(this.#userCapture);
  }

  /** Play on this speaker; "" is the system default. */
  async useSpeaker(device: string): Promise<void> {
    const context = this.#context as AudioContext & { setSinkId(id: string): Promise<void> };
    if (CAN_CHOOSE_SPEAKER)
      await Promise.all([context.setSinkId(device), this.#player.setSinkId(device)]);
  }

  /** Capture silence instead of the microphone. */
  mute(muted: boolean): void {
    for (const track of this.#stream?.getTracks() ?? []) track.enabled = !muted;
  }

  /** Play mono 16-bit PCM after what is already queued. */
  enqueue(pcm: Int16Array, rate: number): void {
    this.#playback.port.postMessage({ rate, pcm } satisfies PlaybackMessage, [pcm.buffer]);
  }

  /** Drop everything that is queued. */
  clearPlayback(): void {
    this.#playback.port.postMessage("clear" satisfies PlaybackMessage);
  }

  /** Play the agent's WebRTC track. */
  playTrack(track: MediaStreamTrack): void {
    const stream = new MediaStream([track]);
    this.#remote?.disconnect();
    this.#remote = this.#context.createMediaStreamSource(stream);
    this.#remote.connect(this.#agentCapture);
    this.#player.srcObject = stream;
    void this.#player.play();
  }

  /** Release microphone and speaker. */
  close(): void {
    this.#closeMicrophone();
    this.#player.srcObject = null;
    // A hang-up during the microphone prompt closes the context before the prompt returns.
    if (this.#context.state !== "closed") void this.#context.close();
  }

  #closeMicrophone(): void {
    this.#microphone?.disconnect();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
  }
}

/** Wait until the audio system runs. Raises NoSpeaker: without one, Firefox never answers. */
async function started(context: AudioContext): Promise<void> {
  await Promise.race([context.resume(), new Promise((done) => setTimeout(done, START_MS))]);
  if (context.state === "running") return;
  void context.close();
  throw new NoSpeaker();
}

function capture(context: AudioContext, onBlock: OnBlock): AudioWorkletNode {
  const node = new AudioWorkletNode(context, "capture", { outputChannelCount: [1] });
  node.port.onmessage = ({ data }: MessageEvent<Block>) => onBlock(data);
  // Its output is silent, but some browsers run only nodes that lead to the destination.
  node.connect(context.destination);
  return node;
}

async function openMicrophone(device: string): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new DOMException("insecure origin", "SecurityError");
  const audio = { ...PROCESSING, channelCount: 1, ...(device && { deviceId: { exact: device } }) };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    // The selected microphone was unplugged: use the default one.
    if (device && error instanceof DOMException && error.name === "OverconstrainedError") {
      return openMicrophone("");
    }
    throw error;
  }
}
