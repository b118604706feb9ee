/** The state of the call in a few words, which screen readers announce when they change. */

import { useEffect, useState } from "preact/hooks";
import type { Call } from "../call";
import type { TransportName } from "../server";

export const TITLES: Record<TransportName, string> = {
  websocket: "WebSocket",
  webrtc: "WebRTC",
  daily: "Daily",
};

interface Properties {
  call: Call;
  transport: TransportName;
  /** Whether path and latency are shown. */
  details: boolean;
}

export function Status({ call, transport, details }: Properties) {
  const { phase, path, connectedAt, ended, durationMs, conversation } = call;
  const { median } = conversation;
  return (
    <div class="status">
      <span role="status" class={`phase ${phase}`}>
        {phase === "connecting" && "Connecting…"}
        {phase === "reconnecting" && "Connection lost. Reconnecting…"}
        {phase === "live" && "Connected"}
        {phase === "idle" && ended && "Call ended"}
      </span>
      {phase === "live" && (
        <>
          {details && (
            <span class="path">{path ? `${TITLES[transport]}, ${path}` : TITLES[transport]}</span>
          )}
          <Clock since={connectedAt ?? 0} />
        </>
      )}
      {phase === "idle" && ended && (
        <>
          {details && median !== undefined && (
            <span>{`median latency ${(median / 1000).toFixed(2)} s`}</span>
          )}
          <span class="clock">{clock(durationMs)}</span>
        </>
      )}
    </div>
  );
}

function Clock({ since }: { since: number }) {
  const [now, tick] = useState(performance.now());
  useEffect(() => {
    const timer = setInterval(() => tick(performance.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <span class="clock" role="timer" aria-label="Length of the call">
      {clock(now - since)}
    </span>
  );
}

function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
