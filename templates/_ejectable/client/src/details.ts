/** Whether the page shows tool calls, latency and path: to developers, not to their guests. */

const STORAGE_KEY = "voice-details";
const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

/** Return the choice in the settings; without one, only guests with an invite see none. */
export function showsDetails(invite: string): boolean {
  const chosen = localStorage.getItem(STORAGE_KEY);
  if (chosen) return chosen === "yes";
  return LOCAL.includes(location.hostname) || !invite.startsWith("invite.");
}

export function chooseDetails(shown: boolean): void {
  localStorage.setItem(STORAGE_KEY, shown ? "yes" : "no");
}
