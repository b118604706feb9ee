/** The session server: sessions are started, resumed and ended by it. */

import type { APIRequest } from "@pipecat-ai/client-js";

export type TransportName = "websocket" | "webrtc" | "daily";

export interface Config {
  project: string;
  transports: TransportName[];
}

/** A conversation's identity, and what opens one connection to it. */
export interface Session {
  sessionId: string;
  token: string;
  wsUrl?: string;
  iceConfig?: { iceServers: RTCIceServer[] };
  roomUrl?: string;
  roomToken?: string;
}

/** The server, or the agent behind it, said no. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** Seconds until it is worth to ask again; undefined where the server does not say. */
    readonly retryAfter?: number | undefined,
  ) {
    super(message);
  }
}

/** Nothing answered. */
export class Unreachable extends Error {}

/** AgentCore gives an agent 30 s to start; the rest is for the network. */
const TIMEOUT_MS = 40_000;

export async function fetchConfig(): Promise<Config> {
  return (await ask("GET", "config")).json();
}

/** A new session; or the same again, with what opens another connection to it. */
export async function start(
  transport: TransportName,
  invite: string,
  before?: Session,
): Promise<Session> {
  const again = before && { sessionId: before.sessionId, token: before.token };
  const body = JSON.stringify({ transport, ...again });
  const headers = { Authorization: `Bearer ${invite}`, "Content-Type": "application/json" };
  return (await ask("POST", "start", { body, headers })).json();
}

/** Hangs up, so that nobody pays for silence; also when the page is about to go. */
export async function stop(session: Session): Promise<void> {
  const headers = { "X-Session-Token": session.token };
  await ask("DELETE", `sessions/${session.sessionId}`, { headers, keepalive: true });
}

/** Where the transport sends its offer and its addresses. */
export function offerRequest(session: Session): APIRequest {
  return {
    endpoint: urlOf(`sessions/${session.sessionId}/api/offer`),
    headers: new Headers({ "X-Session-Token": session.token }),
  };
}

/** What a refusal says. */
export async function refusalOf(response: Response): Promise<Refused> {
  const body = await response.json().catch(() => undefined);
  const { code = "", message = response.statusText } = body?.error ?? {};
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new Refused(
    response.status,
    String(code),
    String(message),
    Number.isNaN(seconds) ? undefined : seconds,
  );
}

async function ask(method: string, path: string, options: RequestInit = {}): Promise<Response> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(urlOf(path), { method, signal, ...options }).catch((error) => {
    throw new Unreachable(String(error));
  });
  if (!response.ok) throw await refusalOf(response);
  return response;
}

/** Relative to the page, which may lie in a folder of a larger site. */
function urlOf(path: string): string {
  return new URL(path, document.baseURI).href;
}
