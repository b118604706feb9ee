/** Error messages for the user: what failed, and what to do. */

import { ServerError, ServerUnreachable, SetupError } from "./server";

export interface Problem {
  /** A name for programs, which stays the same. */
  code: string;
  title: string;
  advice: string;
  /** What the page offers: another key, a call without a microphone, or a countdown. */
  remedy?: "key" | "no-microphone" | "wait";
  /** Seconds until another attempt makes sense. */
  wait?: number;
}

/** The agent did not become ready, or left before it was. */
export class AgentUnavailable extends Error {}

/** The connection was lost and every attempt to reconnect failed. */
export class ConnectionLost extends Error {}

const MICROPHONE: Record<string, Problem> = {
  NotAllowedError: {
    code: "microphone_blocked",
    title: "The microphone is blocked",
    advice: "Allow it with the icon next to the page’s address, then try again.",
    remedy: "no-microphone",
  },
  NotFoundError: {
    code: "no_microphone",
    title: "No microphone found",
    advice: "Plug one in and try again, or type what you want to say.",
    remedy: "no-microphone",
  },
  NotReadableError: {
    code: "microphone_in_use",
    title: "The microphone is in use",
    advice: "Close the other program that uses it, then try again.",
    remedy: "no-microphone",
  },
  SecurityError: {
    code: "insecure_page",
    title: "The microphone needs HTTPS",
    advice: "Browsers allow the microphone only on https:// pages. Open this page with https://.",
    remedy: "no-microphone",
  },
};

const DEFAULT_WAIT = 10;

export function problemFrom(error: unknown): Problem {
  if (error instanceof DOMException && MICROPHONE[error.name]) {
    return MICROPHONE[error.name] as Problem;
  }
  if (error instanceof ServerError) return problemFromServer(error);
  if (error instanceof ServerUnreachable) {
    return {
      code: "server_unreachable",
      title: "The server does not answer",
      advice: "Check your internet connection, then try again.",
    };
  }
  if (error instanceof ConnectionLost) {
    return {
      code: "connection_lost",
      title: "The connection was lost",
      advice: "Reconnecting failed. When you are online, try again.",
    };
  }
  if (error instanceof AgentUnavailable) {
    return {
      code: "agent_unavailable",
      title: "The agent is not available",
      advice: `${error.message} Try again in a moment.`,
    };
  }
  if (error instanceof SetupError) {
    console.error(`voice.js: ${error.message}`);
    return {
      code: "setup",
      title: "Calls do not work on this page",
      advice: "Please tell the owner of this site.",
    };
  }
  console.error(error);
  return { code: "failed", title: "The call failed", advice: `Try again. (${error})` };
}

function problemFromServer(error: ServerError): Problem {
  const { status, message, retryAfter = DEFAULT_WAIT } = error;
  const code = error.code || `status_${status}`;
  switch (status) {
    case 401:
      return {
        code,
        title: "This invitation is not valid",
        advice: "It may have expired. Open a new link, or enter an access key.",
        remedy: "key",
      };
    case 403:
      return {
        code,
        title: "This call is not allowed",
        advice: `${sentence(message)} Start a new call, or ask for a new invitation.`,
        remedy: "key",
      };
    case 429:
      return {
        code,
        title: "Too many calls at once",
        advice: "Wait a moment, then try again.",
        remedy: "wait",
        wait: retryAfter,
      };
    case 503:
      return {
        code,
        title: "The server cannot take calls now",
        advice: `${sentence(message)} Try again in a minute.`,
        remedy: "wait",
        wait: retryAfter,
      };
    default:
      return {
        code,
        title: "The server refused the call",
        advice: `${sentence(message)} Try again, or report this to the operator: ${`${status} ${error.code}`.trim()}.`,
      };
  }
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
