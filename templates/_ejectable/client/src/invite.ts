/** The credential for starting sessions: the invite in the page's address, or a typed key. */

const STORAGE_KEY = "voice-invite";

/** Return the invite and remove it from the address, so that it is not read or forwarded there. */
export function takeInvite(): string {
  const fragment = location.hash.slice(1);
  if (fragment) {
    keepInvite(fragment);
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(STORAGE_KEY) ?? "";
}

/** Keep the invite until this tab is closed. */
export function keepInvite(invite: string): void {
  sessionStorage.setItem(STORAGE_KEY, invite);
}

export function forgetInvite(): void {
  sessionStorage.removeItem(STORAGE_KEY);
}
