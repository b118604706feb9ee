/** The WebSocket transport: sound and messages in one stream, straight to the agent. */

import { type WavMediaManager, WebSocketTransport } from "@pipecat-ai/websocket-transport";
import type { MediaManager } from "./media";
import { Frames } from "./frames";
import type { Dial } from "./wire";

export const dial: Dial = (session, media) => ({
  transport: new WebSocketTransport({
    mediaManager: media as MediaManager as WavMediaManager, // all of it that is public
    serializer: new Frames({
      audio: (pcm, rate) => media.sound.say(pcm, rate),
      interruption: () => media.sound.hush(),
    }),
    recorderSampleRate: media.rate,
  }),
  parameters: { wsUrl: session.wsUrl },
  takesBlocks: true,
});
