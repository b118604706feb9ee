/** The WebRTC transport: audio over UDP, directly or through a TURN relay. */

import { SmallWebRTCTransport } from "@pipecat-ai/small-webrtc-transport";
import type { CreateConnection } from "./transport";

/** Time without packets after which the path counts as lost. Agents send 50 packets per second, in
 * silence too; their pauses while they load something are shorter than this. */
const LOST_MS = 3000;

/** Pipecat's transport with access to its RTCPeerConnection. */
class ObservableTransport extends SmallWebRTCTransport {
  get connection(): RTCPeerConnection | null {
    return (this as unknown as { pc: RTCPeerConnection | null }).pc; // private in Pipecat
  }

  async stats(): Promise<Stats> {
    const entries = (await this.connection?.getStats()) ?? new Map<string, RTCStats>();
    return [...entries.values()] as Stats;
  }
}

type Stats = (RTCStats & Record<string, unknown>)[];

export const createConnection: CreateConnection = (session, media, offer) => {
  const transport = new ObservableTransport({ mediaManager: media });
  let packets: unknown;
  let lastArrival = 0;
  return {
    transport,
    parameters: {
      webrtcRequestParams: offer,
      iceConfig: session.iceConfig,
    },
    sendsBlocks: false,
    async path() {
      return describePath(await transport.stats());
    },
    async isLost() {
      const ice = transport.connection?.iceConnectionState;
      if (ice === "failed" || ice === "closed") return true;
      const inbound = (await transport.stats()).find((entry) => entry.type === "inbound-rtp");
      const now = performance.now();
      if (!inbound || inbound.packetsReceived !== packets) {
        packets = inbound?.packetsReceived;
        lastArrival = now;
      }
      return now - lastArrival > LOST_MS;
    },
    async replaceTrack(track) {
      await transport.connection?.getTransceivers()[0]?.sender.replaceTrack(track);
    },
  };
};

/** Describe the selected pair of candidates as "relay, udp" or "direct, udp". */
function describePath(stats: Stats): string | undefined {
  const byId = new Map(stats.map((entry) => [entry.id, entry]));
  const selected = stats.find((entry) => entry.type === "transport");
  const pair = byId.get(String(selected?.selectedCandidatePairId));
  const local = byId.get(String(pair?.localCandidateId));
  const remote = byId.get(String(pair?.remoteCandidateId));
  if (!local || !remote) return undefined;
  const relayed = [local, remote].some((end) => end.candidateType === "relay");
  const protocol = String(local.relayProtocol ?? local.protocol);
  return `${relayed ? "relay" : "direct"}, ${protocol}`;
}
