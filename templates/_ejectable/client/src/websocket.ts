/** The WebSocket transport: audio and messages in one stream, directly to the agent. */

import { type WavMediaManager, WebSocketTransport } from "@pipecat-ai/websocket-transport";
import type { PipecatMediaManager } from "./media-manager";
import { OrderedSerializer } from "./serializer";
import type { CreateConnection } from "./transport";

export const createConnection: CreateConnection = (session, media) => ({
  transport: new WebSocketTransport({
    mediaManager: media as PipecatMediaManager as WavMediaManager, // all of its public interface
    serializer: new OrderedSerializer({
      onAudio: (pcm, rate) => media.audio.enqueue(pcm, rate),
      onInterruption: () => media.audio.clearPlayback(),
    }),
    recorderSampleRate: media.rate,
  }),
  parameters: { wsUrl: session.wsUrl },
  sendsBlocks: true,
});
