/** The audio of a call: microphone, speaker, and blocks of what each side says. */

import type { Block } from "./block";
import captureUrl from "./capture.worklet?worker&url";
import type { PlaybackMessage } from "./playback.worklet";
import playbackUrl from "./playback.worklet?worker&url";

/** The browser's own processing of speech, which is better than any a page could do. */
const PROCESSING = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export interface AudioHandlers {
  onUser(block: Block): void;
  onAgent(block: Block): void;
  /** The microphone was unplugged, or the user has blocked it. */
  onMicrophoneLost(): void;
  /** `paused` may have changed. */
  onPause(): void;
}

/** True when the page may select the speaker, over WebSocket and over WebRTC. */
export const CAN_CHOOSE_SPEAKER =
  "setSinkId" in AudioContext.prototype && "setSinkId" in HTMLMediaElement.prototype;

export class CallAudio {
  #context: AudioContext;
  #handlers: AudioHandlers;
  #stream: MediaStream | undefined;
  #microphone: MediaStreamAudioSourceNode | undefined;
  #userCapture: AudioWorkletNode;
  #agentCapture: AudioWorkletNode;
  #playback: AudioWorkletNode;
  #remote: MediaStreamAudioSourceNode | undefined;
  /** Plays WebRTC audio: Chromium plays a remote track only through an element. */
  #player = new Audio();
  /** True when the browser did not let it play without a click. */
  #playerRefused = false;

  /**
   * Open the audio system, on a click: browsers keep a context silent that was made without one,
   * and Safari one that was made after an `await`. The context has the device's own sample rate.
   */
  static async open(
    handlers: AudioHandlers,
    speaker: string,
    context = new AudioContext({ latencyHint: "interactive" }),
  ): Promise<CallAudio> {
    // Not awaited: without a click it stays pending, and the page says that the sound is paused.
    void context.resume();
    await Promise.all([
      context.audioWorklet.addModule(captureUrl),
      context.audioWorklet.addModule(playbackUrl),
    ]);
    const audio = new CallAudio(context, handlers);
    if (speaker) await audio.useSpeaker(speaker);
    return audio;
  }

  private constructor(context: AudioContext, handlers: AudioHandlers) {
    this.#context = context;
    this.#handlers = handlers;
    this.#userCapture = capture(context, handlers.onUser);
    this.#agentCapture = capture(context, handlers.onAgent);
    this.#playback = new AudioWorkletNode(context, "playback", { outputChannelCount: [1] });
    this.#playback.connect(context.destination);
    this.#playback.connect(this.#agentCapture);
    context.addEventListener("statechange", this.#onPause);
    document.addEventListener("visibilitychange", this.#onPause);
  }

  /** True while the browser plays nothing: no click yet, or Safari's interruption by a phone call. */
  get paused(): boolean {
    return this.#context.state !== "running" || this.#playerRefused;
  }

  /** Play again. Without a click the browser may refuse, and `paused` stays true. */
  async resume(): Promise<void> {
    const isPlaying = this.#player.srcObject ? this.#player.play() : undefined;
    const [, player] = await Promise.allSettled([this.#context.resume(), isPlaying]);
    this.#playerRefused = player.status === "rejected" && player.reason.name === "NotAllowedError";
    this.#handlers.onPause();
  }

  /** The context paused or plays again, or the user is back: an interruption may be over. */
  #onPause = (): void => {
    this.#handlers.onPause();
    if (this.#context.state !== "running" && !document.hidden) void this.resume();
  };

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
    const [track] = stream.getAudioTracks();
    if (track) track.onended = () => this.#handlers.onMicrophoneLost();
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
    void this.resume();
  }

  /** Release microphone and speaker. */
  close(): void {
    this.#closeMicrophone();
    this.#player.srcObject = null;
    this.#context.removeEventListener("statechange", this.#onPause);
    document.removeEventListener("visibilitychange", this.#onPause);
    // A hang-up during the microphone prompt closes the context before the prompt returns.
    if (this.#context.state !== "closed") void this.#context.close();
  }

  #closeMicrophone(): void {
    this.#microphone?.disconnect();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
  }
}

function capture(context: AudioContext, onBlock: (block: Block) => void): AudioWorkletNode {
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
