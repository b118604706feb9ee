/** The media manager that Pipecat's transports get: it connects them to the call's audio. */

import type { WavMediaManager } from "@pipecat-ai/websocket-transport";
import { SPEECH_RATE } from "./audio/block";
import type { CallAudio } from "./audio/call-audio";

/** The public interface of WavMediaManager, which is all that the transports use. */
export type PipecatMediaManager = Pick<WavMediaManager, keyof WavMediaManager>;

/** The audio of one connection. The page opens and selects the devices, not the transport. */
export class CallMediaManager implements PipecatMediaManager {
  /** Sample rate of the user's speech, in Hz. */
  readonly rate = SPEECH_RATE;
  readonly supportsScreenShare = false;
  readonly isCamEnabled = false;
  readonly isSharingScreen = false;
  readonly selectedMic = {};
  readonly selectedCam = {};
  readonly selectedSpeaker = {};

  #send: (pcm: ArrayBuffer) => void = () => {};
  /** A clone: transports stop their track, but the microphone outlives a connection. */
  #track: MediaStreamTrack | undefined;

  constructor(readonly audio: CallAudio) {
    this.#track = audio.track?.clone();
  }

  /** Send a block of the user's speech, if the transport sends blocks. */
  send(pcm: Int16Array): void {
    this.#send(pcm.slice().buffer);
  }

  setUserAudioCallback(send: (pcm: ArrayBuffer) => void): void {
    this.#send = send;
  }

  /** Use another microphone's track from now on; return the clone to send. */
  replaceTrack(track: MediaStreamTrack): MediaStreamTrack {
    this.#track?.stop();
    this.#track = track.clone();
    return this.#track;
  }

  tracks() {
    return { local: this.#track ? { audio: this.#track } : {} };
  }

  async disconnect(): Promise<void> {
    this.#track?.stop();
  }

  get isMicEnabled(): boolean {
    return this.#track?.enabled ?? false;
  }

  async enableMic(enable: boolean): Promise<void> {
    if (this.#track) this.#track.enabled = enable;
  }

  bufferBotAudio(pcm: Int16Array): Int16Array {
    return pcm; // serializer.ts has played it, because it knows the sample rate
  }

  setClientOptions(): void {}
  async initialize(): Promise<void> {}
  async connect(): Promise<void> {}
  async userStartedSpeaking(): Promise<void> {}
  async getAllMics(): Promise<MediaDeviceInfo[]> {
    return [];
  }
  async getAllCams(): Promise<MediaDeviceInfo[]> {
    return [];
  }
  async getAllSpeakers(): Promise<MediaDeviceInfo[]> {
    return [];
  }
  async updateMic(): Promise<void> {}
  updateCam(): void {}
  updateSpeaker(): void {}
  enableCam(): void {}
  enableScreenShare(): void {}
}
