/** Requests to the session server: start, resume and end a session. */

import type { APIRequest } from "@pipecat-ai/client-js";

export type TransportName = "websocket" | "webrtc" | "daily";

export interface Config {
  project: string;
  transports: TransportName[];
}

/** A session, and what one connection to it needs. */
export interface Session {
  sessionId: string;
  token: string;
  wsUrl?: string;
  iceConfig?: { iceServers: RTCIceServer[] };
  roomUrl?: string;
  roomToken?: string;
}

/** The session server, or the agent behind it, answered with an error. */
export class ServerError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** Seconds until another request makes sense, if the server says. */
    readonly retryAfter?: number | undefined,
  ) {
    super(message);
  }
}

/** The session server did not answer. */
export class ServerUnreachable extends Error {}

/** AgentCore gives an agent 30 s to start; the rest is for the network. */
const TIMEOUT_MS = 40_000;

export async function fetchConfig(): Promise<Config> {
  return (await request("GET", "config")).json();
}

/** Start a session, or get another connection to the session `resumed`. */
export async function startSession(
  transport: TransportName,
  invite: string,
  resumed?: Session,
): Promise<Session> {
  const session = resumed && { sessionId: resumed.sessionId, token: resumed.token };
  const body = JSON.stringify({ transport, ...session });
  const headers = { Authorization: `Bearer ${invite}`, "Content-Type": "application/json" };
  return (await request("POST", "start", { body, headers })).json();
}

/** End a session, so that an abandoned one costs nothing; works while the page unloads too. */
export async function stopSession(session: Session): Promise<void> {
  const headers = { "X-Session-Token": session.token };
  await request("DELETE", `sessions/${session.sessionId}`, { headers, keepalive: true });
}

/** Return the request that carries the transport's offer and its ICE candidates. */
export function offerRequest(session: Session): APIRequest {
  return {
    endpoint: urlOf(`sessions/${session.sessionId}/api/offer`),
    headers: new Headers({ "X-Session-Token": session.token }),
  };
}

/** Read an error response. */
export async function serverErrorFrom(response: Response): Promise<ServerError> {
  const body = await response.json().catch(() => undefined);
  const { code = "", message = response.statusText } = body?.error ?? {};
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new ServerError(
    response.status,
    String(code),
    String(message),
    Number.isNaN(seconds) ? undefined : seconds,
  );
}

async function request(method: string, path: string, options: RequestInit = {}): Promise<Response> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(urlOf(path), { method, signal, ...options }).catch((error) => {
    throw new ServerUnreachable(String(error));
  });
  if (!response.ok) throw await serverErrorFrom(response);
  return response;
}

/** Resolve a path against the page, which may be in a folder of a larger site. */
function urlOf(path: string): string {
  return new URL(path, document.baseURI).href;
}
