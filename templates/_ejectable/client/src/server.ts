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

/** The page that embeds the call has to be corrected; the message is for its developer. */
export class SetupError extends Error {}

/** AgentCore gives an agent 30 s to start; the rest is for the network. */
const TIMEOUT_MS = 40_000;

/** Returns an invite or a JWT; "" where sessions are started without one. */
export type Credential = () => string | Promise<string>;

export class Server {
  /** `startUrl` may lead to another server, which asks this one to start a session. */
  constructor(
    /** The server's URL, which may be a folder of a larger site. */
    readonly url: string,
    readonly credential: Credential,
    readonly startUrl = "start",
  ) {}

  async config(): Promise<Config> {
    return (await this.#request("GET", "config")).json();
  }

  /** Start a session, or get another connection to the session `resumed`. */
  async start(transport: TransportName, resumed?: Session): Promise<Session> {
    const session = resumed && { sessionId: resumed.sessionId, token: resumed.token };
    const body = JSON.stringify({ transport, ...session });
    const headers = new Headers({ "Content-Type": "application/json" });
    const credential = await this.credential();
    if (credential) headers.set("Authorization", `Bearer ${credential}`);
    const response = await this.#request("POST", this.startUrl, { body, headers });
    const answer = await response.json().catch(() => undefined);
    if (answer?.sessionId) return answer;
    throw new SetupError(
      `POST ${response.url} did not return what the session server's /start does.`,
    );
  }

  /** End a session, so that an abandoned one costs nothing; works while the page unloads too. */
  async stop(session: Session): Promise<void> {
    const headers = { "X-Session-Token": session.token };
    await this.#request("DELETE", `sessions/${session.sessionId}`, { headers, keepalive: true });
  }

  /** Return the request that carries the transport's offer and its ICE candidates. */
  offer(session: Session): APIRequest {
    return {
      endpoint: new URL(`sessions/${session.sessionId}/api/offer`, this.url).href,
      headers: new Headers({ "X-Session-Token": session.token }),
    };
  }

  async #request(method: string, path: string, options: RequestInit = {}): Promise<Response> {
    const url = new URL(path, this.url);
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(url, { method, signal, ...options }).catch((error) => {
      throw new ServerUnreachable(String(error));
    });
    if (!response.ok) throw await serverErrorFrom(response);
    return response;
  }
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
