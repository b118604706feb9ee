/** The WebRTC transport: sound over UDP where it gets through, by a relay where it must. */

import { SmallWebRTCTransport } from "@pipecat-ai/small-webrtc-transport";
import type { Dial } from "./wire";

/** Agents send 50 packets a second, also when they are silent: without any for so long, the path
 * is gone. Their stalls, when they load something, are shorter. */
const LOST_MS = 3000;

/** Pipecat's transport, with a look at its connection. */
class Peer extends SmallWebRTCTransport {
  get connection(): RTCPeerConnection | null {
    return (this as unknown as { pc: RTCPeerConnection | null }).pc; // private there
  }

  async report(): Promise<Report> {
    const entries = (await this.connection?.getStats()) ?? new Map<string, RTCStats>();
    return [...entries.values()] as Report;
  }
}

type Report = (RTCStats & Record<string, unknown>)[];

export const dial: Dial = (session, media, offer) => {
  const transport = new Peer({ mediaManager: media });
  let packets: unknown;
  let since = 0;
  return {
    transport,
    parameters: {
      webrtcRequestParams: offer,
      iceConfig: session.iceConfig,
    },
    takesBlocks: false,
    async path() {
      return pathIn(await transport.report());
    },
    async isLost() {
      const ice = transport.connection?.iceConnectionState;
      if (ice === "failed" || ice === "closed") return true;
      const inbound = (await transport.report()).find((entry) => entry.type === "inbound-rtp");
      const now = performance.now();
      if (!inbound || inbound.packetsReceived !== packets) {
        packets = inbound?.packetsReceived;
        since = now;
      }
      return now - since > LOST_MS;
    },
    async replace(track) {
      await transport.connection?.getTransceivers()[0]?.sender.replaceTrack(track);
    },
  };
};

/** The pair of candidates that is used, as "relay, udp" or "direct, udp". */
function pathIn(report: Report): string | undefined {
  const byId = new Map(report.map((entry) => [entry.id, entry]));
  const chosen = report.find((entry) => entry.type === "transport");
  const pair = byId.get(String(chosen?.selectedCandidatePairId));
  const local = byId.get(String(pair?.localCandidateId));
  const remote = byId.get(String(pair?.remoteCandidateId));
  if (!local || !remote) return undefined;
  const relayed = [local, remote].some((end) => end.candidateType === "relay");
  const protocol = String(local.relayProtocol ?? local.protocol);
  return `${relayed ? "relay" : "direct"}, ${protocol}`;
}
