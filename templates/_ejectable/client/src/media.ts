/** What Pipecat's transports know of the sound: a media manager of theirs, on a Sound of ours. */

import type { WavMediaManager } from "@pipecat-ai/websocket-transport";
import { SPEECH_RATE } from "./sound/block";
import type { Sound } from "./sound/sound";

/** All of theirs that is public, which is all that the transports use. */
export type MediaManager = Pick<WavMediaManager, keyof WavMediaManager>;

/** The sound of one connection. It opens and chooses no devices: the page does. */
export class Media implements MediaManager {
  /** Samples a second of what is sent. */
  readonly rate = SPEECH_RATE;
  readonly supportsScreenShare = false;
  readonly isCamEnabled = false;
  readonly isSharingScreen = false;
  readonly selectedMic = {};
  readonly selectedCam = {};
  readonly selectedSpeaker = {};

  #send: (pcm: ArrayBuffer) => void = () => {};
  /** The transports stop the track that they are given; the microphone outlives connections. */
  #track: MediaStreamTrack | undefined;

  constructor(readonly sound: Sound) {
    this.#track = sound.track?.clone();
  }

  /** Sends what was said, where the transport takes blocks rather than a track. */
  send(pcm: Int16Array): void {
    this.#send(pcm.slice().buffer);
  }

  setUserAudioCallback(send: (pcm: ArrayBuffer) => void): void {
    this.#send = send;
  }

  /** Hears by another microphone from now on. */
  follow(track: MediaStreamTrack): MediaStreamTrack {
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
    return pcm; // frames.ts has played it already: it knows the sample rate
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
