/** Whether the page shows tool calls, latency and path: to developers, not to their guests. */

const STORAGE_KEY = "voice-details";
const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

// Read once: the page asks at every change of a call.
let chosen = localStorage.getItem(STORAGE_KEY);

/** Return the choice in the settings; without one, only guests with an invite see none. */
export function showsDetails(invite: string): boolean {
  if (chosen) return chosen === "yes";
  return LOCAL.includes(location.hostname) || !invite.startsWith("invite.");
}

export function chooseDetails(shown: boolean): void {
  chosen = shown ? "yes" : "no";
  localStorage.setItem(STORAGE_KEY, chosen);
}
