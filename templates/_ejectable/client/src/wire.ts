/** One connection of a session: what a transport's module makes of it. */

import type { APIRequest, Transport } from "@pipecat-ai/client-js";
import type { Media } from "./media";
import type { Session } from "./server";

export interface Wire {
  transport: Transport;
  /** What the transport connects with. */
  parameters: unknown;
  /** The way that the sound takes, for people; undefined while none is known. */
  path?(): Promise<string | undefined>;
  /** Whether nothing has arrived for so long that the path must be gone. */
  isLost?(): Promise<boolean>;
  /** Sends what a new microphone hears. */
  replace?(track: MediaStreamTrack): Promise<void>;
  /** Whether blocks of what was said are to be sent by Media. */
  takesBlocks: boolean;
}

/** `offer` is where a transport that needs one sends its offer. */
export type Dial = (session: Session, media: Media, offer: APIRequest) => Wire;
