/** The interface that each transport's module implements: one connection of a session. */

import type { APIRequest, Transport } from "@pipecat-ai/client-js";
import type { CallMediaManager } from "./media-manager";
import type { Session } from "./server";

export interface TransportConnection {
  transport: Transport;
  /** Argument of the transport's connect(). */
  parameters: unknown;
  /** True when the media manager sends the user's speech in blocks; else a track carries it. */
  sendsBlocks: boolean;
  /** The network path of the audio, for display; undefined while it is unknown. */
  path?(): Promise<string | undefined>;
  /** True when the path failed or has been silent for too long. */
  isLost?(): Promise<boolean>;
  /** Send another microphone's track from now on. */
  replaceTrack?(track: MediaStreamTrack): Promise<void>;
}

/** `offer` is the request that carries a WebRTC offer. */
export type CreateConnection = (
  session: Session,
  media: CallMediaManager,
  offer: APIRequest,
) => TransportConnection;
