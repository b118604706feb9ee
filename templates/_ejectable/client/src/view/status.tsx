/** How the call stands, in a few words that screen readers hear as they change. */

import { useEffect, useState } from "preact/hooks";
import type { Call } from "../call";
import type { TransportName } from "../server";

export const TITLES: Record<TransportName, string> = {
  websocket: "WebSocket",
  webrtc: "WebRTC",
  daily: "Daily",
};

export function Status({ call, transport }: { call: Call; transport: TransportName }) {
  const { phase, path, since, over, lasted, dialogue } = call;
  const { median } = dialogue;
  return (
    <div class="status">
      <span role="status" class={`phase ${phase}`}>
        {phase === "connecting" && "Connecting…"}
        {phase === "reconnecting" && "Connection lost. Reconnecting…"}
        {phase === "live" && "Connected"}
        {phase === "idle" && over && "Call ended"}
      </span>
      {phase === "live" && (
        <>
          <span class="path">{path ? `${TITLES[transport]}, ${path}` : TITLES[transport]}</span>
          <Clock since={since ?? 0} />
        </>
      )}
      {phase === "idle" && over && (
        <>
          {median !== undefined && <span>{`answers after ${(median / 1000).toFixed(2)} s`}</span>}
          <span class="clock">{clock(lasted)}</span>
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
