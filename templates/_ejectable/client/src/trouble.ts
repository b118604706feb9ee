/** What went wrong, in words that say what to do. */

import { Refused, Unreachable } from "./server";

export interface Trouble {
  title: string;
  advice: string;
  /** What may help: another key, a call without microphone, or only time. */
  remedy?: "key" | "silent" | "wait";
  /** Seconds until it is worth to try again. */
  wait?: number;
}

/** The agent took the call and then was gone, or never there. */
export class AgentGone extends Error {}

/** The connection was lost and could not be made again. */
export class ConnectionLost extends Error {}

const MICROPHONE: Record<string, Trouble> = {
  NotAllowedError: {
    title: "The microphone is blocked",
    advice: "Allow it by the icon beside this page’s address, then call again.",
    remedy: "silent",
  },
  NotFoundError: {
    title: "There is no microphone",
    advice: "Plug one in and call again, or type what you want to say.",
    remedy: "silent",
  },
  NotReadableError: {
    title: "The microphone is taken",
    advice: "Another program is using it. Close that program, then call again.",
    remedy: "silent",
  },
  SecurityError: {
    title: "No microphone on this address",
    advice: "Browsers lend it to https:// pages only. Open this page by https.",
    remedy: "silent",
  },
};

const DEFAULT_WAIT = 10;

export function troubleOf(error: unknown): Trouble {
  if (error instanceof DOMException && MICROPHONE[error.name]) {
    return MICROPHONE[error.name] as Trouble;
  }
  if (error instanceof Refused) return refusal(error);
  if (error instanceof Unreachable) {
    return {
      title: "The server does not answer",
      advice: "Check your connection to the internet, then call again.",
    };
  }
  if (error instanceof ConnectionLost) {
    return {
      title: "The connection was lost",
      advice: "It could not be made again. When you are back online, call again.",
    };
  }
  if (error instanceof AgentGone) {
    return { title: "The agent is not there", advice: `${error.message} Call again in a moment.` };
  }
  console.error(error);
  return { title: "The call failed", advice: `Call again. (${error})` };
}

function refusal({ status, code, message, retryAfter = DEFAULT_WAIT }: Refused): Trouble {
  switch (status) {
    case 401:
      return {
        title: "This invitation is not valid",
        advice: "It may have expired. Open a new link, or enter an access key.",
        remedy: "key",
      };
    case 403:
      return {
        title: "You may not do this",
        advice: `${sentence(message)} Start a new call, or ask for a new invitation.`,
        remedy: "key",
      };
    case 429:
      return {
        title: "Too many calls at once",
        advice: "Please wait a little, then call again.",
        remedy: "wait",
        wait: retryAfter,
      };
    case 503:
      return {
        title: "No calls can be taken just now",
        advice: `${sentence(message)} Call again in a minute.`,
        remedy: "wait",
        wait: retryAfter,
      };
    default:
      return {
        title: "The server refused the call",
        advice: `${sentence(message)} Call again, or tell who runs it: ${status} ${code}.`,
      };
  }
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
